"""Where the processes of one training on one machine find each other."""

from torch.distributed import TCPStore

_served: list[TCPStore] = []


def serve_meeting(descriptor: int, port: int, num_ranks: int) -> None:
    """Serve the others at a listening socket that this process inherited, until it ends.

    Left to itself, torch opens the port of the first process on every interface, and asks nobody who they are.
    """
    _served.append(
        TCPStore("127.0.0.1", port, num_ranks, is_master=True, wait_for_workers=False, master_listen_fd=descriptor)
    )
