"""Keys on a real token: what they sign is what other tools say it is, and whatever is amiss is one line."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from model_signing import verifying
from softhsm import MODULE, PIN, SoftHsm, key_uri

from components.lineage.errors import LedgerError
from components.lineage.keys import load_signer, verify_signature
from components.lineage.log import Ledger
from components.lineage.log_check import examine_log
from components.lineage.model_signature import check_model, sign_model, signature_file
from components.lineage.record import Record
from components.lineage.store import FolderStore
from components.lineage.token_key import load_token_signer

pytestmark = pytest.mark.skipif(MODULE is None, reason="needs SoftHSM 2")
TIMES = {"started_at": "2026-11-23T12:00:00.000Z", "ended_at": "2026-11-23T12:00:01.000Z"}
AUDIT = key_uri("token=audit;object=ledger")
KEYS = {"ledger": "prime256v1", "other": "prime256v1", "wide": "secp384r1"}


def openssl(*arguments, data=b""):
    return subprocess.run(["openssl", *map(str, arguments)], input=data, capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def pems(tmp_path_factory):
    """Files of private keys, which also lie on the token, so that we know them in another way."""
    folder = tmp_path_factory.mktemp("pems")
    for name, curve in KEYS.items():
        command = ("genpkey", "-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{curve}")
        openssl(*command, "-out", folder / f"{name}.pem")
    openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", folder / "rsa.pem")
    return folder


@pytest.fixture(scope="module")
def hsm(tmp_path_factory, pems):
    made = SoftHsm(tmp_path_factory.mktemp("hsm"))
    for label in ("audit", "twin", "twin"):
        made.make_token(label)
    for number, label in enumerate([*KEYS, "rsa"]):
        made.put("audit", label, f"0{number}", pems / f"{label}.pem")
    for number, label in enumerate(["ledger", "other"]):
        made.put("audit", "same", f"1{number}", pems / f"{label}.pem")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", made.environment["SOFTHSM2_CONF"])
        yield made
        import pkcs11

        pkcs11.lib(str(MODULE)).finalize()  # the next who uses the module reads its own settings


@contextmanager
def opened():
    """A session in which the test puts things on the token by itself."""
    import pkcs11

    found = [slot.get_token() for slot in pkcs11.lib(str(MODULE)).get_slots(token_present=True)]
    with next(token for token in found if token.label == "audit").open(rw=True, user_pin=PIN) as session:
        yield session


def generate(label, public=None, private=None):
    """A pair that is made on the token."""
    import pkcs11
    from pkcs11.util.ec import encode_named_curve_parameters

    curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
    with opened() as session:
        domain = session.create_domain_parameters(pkcs11.KeyType.EC, curve, local=True)
        facts = {"public_template": public or {}, "private_template": private or {}}
        domain.generate_keypair(label=label, id=label.encode(), store=True, **facts)


def put_public(label, pem, **how):
    """A public half alone."""
    import pkcs11
    from pkcs11.util.ec import decode_ec_public_key

    facts = decode_ec_public_key(openssl("pkey", "-in", pem, "-pubout", "-outform", "DER"), **how)
    with opened() as session:
        session.create_object(facts | {pkcs11.Attribute.LABEL: label, pkcs11.Attribute.TOKEN: True})


def put_private(label, pem):
    """A private half alone."""
    import pkcs11
    from pkcs11.util.ec import decode_ec_private_key

    facts = decode_ec_private_key(openssl("ec", "-in", pem, "-outform", "DER"))
    facts |= {pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY, pkcs11.Attribute.KEY_TYPE: pkcs11.KeyType.EC}
    facts |= {pkcs11.Attribute.LABEL: label, pkcs11.Attribute.TOKEN: True, pkcs11.Attribute.PRIVATE: True}
    with opened() as session:
        session.create_object(facts | {pkcs11.Attribute.SIGN: True, pkcs11.Attribute.SENSITIVE: True})


def holds(public_pem, data, signature):
    """Whether the signature verifies, by the library's own hands."""
    load_pem_public_key(public_pem).verify(signature, data, ec.ECDSA(SHA256()))
    return True


def test_a_token_signs_as_the_same_key_in_a_file_does(hsm, pems, tmp_path):
    signer, known = load_token_signer(AUDIT, pin=PIN), load_signer(file=pems / "ledger.pem")
    assert (signer.public_pem, signer.key_id) == (known.public_pem, known.key_id)
    assert signer.public_pem == openssl("pkey", "-in", pems / "ledger.pem", "-pubout")
    (tmp_path / "public.pem").write_bytes(signer.public_pem)
    for words in (b"", b"words", bytes(100_000)):
        (tmp_path / "signature").write_bytes(signer.sign(words))
        assert holds(known.public_pem, words, (tmp_path / "signature").read_bytes())
        command = ("dgst", "-sha256", "-verify", tmp_path / "public.pem", "-signature", tmp_path / "signature")
        assert openssl(*command, data=words) == b"Verified OK\n"
    assert not verify_signature(signer.public_pem, b"word", signer.sign(b"words"))


def test_a_ledger_that_a_token_signs_holds(hsm, tmp_path):
    signer = load_token_signer(AUDIT, pin=PIN)
    ledger = Ledger(FolderStore(tmp_path), signer)
    for number in range(5):
        ledger.append(Record(kind="stage", subject=f"stage_{number}", **TIMES))
    report = examine_log(FolderStore(tmp_path), [signer.public_pem])
    assert (report.fault, report.size) == (None, 5)
    assert [span.key_id for span in report.spans] == [signer.key_id]


def test_a_model_that_a_token_signs_verifies_with_the_stock_library(hsm, tmp_path):
    signer, folder = load_token_signer(AUDIT, pin=PIN), tmp_path / "turbo"
    folder.mkdir()
    (folder / "weights").write_bytes(bytes(range(256)))
    (tmp_path / "public.pem").write_bytes(signer.public_pem)
    signature_file(folder).write_bytes(sign_model(folder, signer, {"record": "ab" * 32}))
    assert check_model(folder, signature_file(folder).read_bytes(), signer.public_pem) is None
    stock = verifying.Config().use_elliptic_key_verifier(public_key=tmp_path / "public.pem")
    stock.verify(folder, signature_file(folder))
    (folder / "weights").write_bytes(bytes(256))
    with pytest.raises(ValueError, match="Hash mismatch for 'weights'"):
        stock.verify(folder, signature_file(folder))


def test_the_pin_comes_from_a_file_the_uri_or_the_caller_and_is_never_shown(hsm, tmp_path):
    (tmp_path / "a pin").write_text(f"{PIN}\n")
    for uri, pin in (
        (key_uri("token=audit;object=ledger", pin_source=f"file:{tmp_path / 'a pin'}"), "wrong"),
        (key_uri("token=audit;object=ledger", pin_value=PIN), "wrong"),
        (AUDIT, PIN),
    ):
        signer = load_token_signer(uri, pin=pin)
        assert holds(signer.public_pem, b"words", signer.sign(b"words"))
        assert PIN not in repr(signer)


def test_the_module_of_the_uri_goes_before_the_one_given(hsm):
    bare = AUDIT.partition("?")[0]
    assert load_token_signer(bare, module=str(MODULE)).key_id == load_token_signer(AUDIT, module="/nowhere").key_id
    with pytest.raises(LedgerError, match="add module-path=FILE to the URI, or set PKCS11_MODULE_PATH"):
        load_token_signer(bare)


def test_a_public_key_is_read_without_a_pin_unless_the_token_hides_it(hsm):
    import pkcs11

    generate("hidden", public={pkcs11.Attribute.PRIVATE: True})
    assert load_token_signer(AUDIT).key_id
    hidden = key_uri("token=audit;object=hidden")
    with pytest.raises(LedgerError, match="no public key 'hidden' on it"):
        load_token_signer(hidden)
    signer = load_token_signer(hidden, pin=PIN)
    assert holds(signer.public_pem, b"words", signer.sign(b"words"))


def test_a_key_that_wants_the_pin_each_time_gets_it(hsm):
    import pkcs11

    generate("careful", private={pkcs11.Attribute.ALWAYS_AUTHENTICATE: True})
    signer = load_token_signer(key_uri("token=audit;object=careful"), pin=PIN)
    for words in (b"a", b"b"):
        assert holds(signer.public_pem, words, signer.sign(words))


def test_a_key_that_is_not_meant_for_signing_is_one_line(hsm):
    import pkcs11

    generate("mute", private={pkcs11.Attribute.SIGN: False, pkcs11.Attribute.DERIVE: True})
    with pytest.raises(LedgerError, match="its key 'mute' is not meant for signing"):
        load_token_signer(key_uri("token=audit;object=mute"), pin=PIN).sign(b"words")


def test_a_point_that_is_not_wrapped_is_read_as_well(hsm, pems):
    put_public("bare", pems / "ledger.pem", encode_ec_point=False)
    assert load_token_signer(key_uri("token=audit;object=bare")).key_id == load_token_signer(AUDIT).key_id


def test_halves_that_do_not_belong_together_sign_nothing(hsm, pems):
    put_public("mixed", pems / "ledger.pem")
    put_private("mixed", pems / "other.pem")
    signer = load_token_signer(key_uri("token=audit;object=mixed"), pin=PIN)
    with pytest.raises(LedgerError, match="what its key 'mixed' signs does not verify with the public key"):
        signer.sign(b"words")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("token=audit;object=nothing", "token 'audit': no public key 'nothing' on it; both halves must be there"),
        ("token=audit;id=%7F", "token 'audit': no public key with id 7f on it"),
        ("token=nowhere;object=ledger", "token 'nowhere': no such token in this module; is it plugged in"),
        ("token=audit;serial=00;object=ledger", "token 'audit' '00': no such token in this module"),
        ("token=twin;object=ledger", "token 'twin': 2 such tokens; name one by its serial="),
        ("token=audit;object=same", "2 times a public key 'same'; name one by its id="),
        ("token=audit;object=wide", "its key 'wide' is no elliptic-curve key on P-256"),
        ("token=audit;object=rsa", "its key 'rsa' is no elliptic-curve key on P-256"),
    ],
)
def test_what_is_not_there_is_one_line(hsm, path, said):
    with pytest.raises(LedgerError, match=said) as caught:
        load_token_signer(key_uri(path), pin=PIN)
    assert "\n" not in str(caught.value)
    assert PIN not in str(caught.value)


def test_keys_of_one_name_are_told_apart_by_their_ids(hsm, pems):
    signer = load_token_signer(key_uri("token=audit;object=same;id=%11"), pin=PIN)
    assert signer.key_id == load_signer(file=pems / "other.pem").key_id
    assert holds(signer.public_pem, b"words", signer.sign(b"words"))


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("/nowhere/module.so", r"/nowhere/module\.so: no PKCS#11 module there \(No such file or directory\); correct"),
        (__file__, "cannot be used as a PKCS#11 module: "),
    ],
)
def test_what_is_no_module_is_one_line(module, said):
    with pytest.raises(LedgerError, match=said):
        load_token_signer(key_uri("object=ledger", module_path=module), pin=PIN)


def test_a_wrong_pin_is_asked_for_once_since_tokens_lock_themselves(hsm):
    for uri, pin in ((AUDIT, "71536042"), (f"{AUDIT}&pin-value=71536043", None)):
        signer = load_token_signer(uri, pin=pin)
        for said in ("token 'audit': the PIN is wrong", "refused this PIN before and is not asked again"):
            with pytest.raises(LedgerError, match=said) as caught:
                signer.sign(b"words")
            assert "7153604" not in str(caught.value)
    assert load_token_signer(AUDIT, pin=PIN).sign(b"words")


def test_a_missing_pin_is_one_line(hsm, tmp_path):
    with pytest.raises(LedgerError, match="the PIN is no line of text; correct it"):
        load_token_signer(AUDIT, pin=os.fsdecode(b"\xff715")).sign(b"words")
    with pytest.raises(LedgerError, match="asks for a PIN; add pin-source=file:/PATH to the URI, or set EASEL_LED"):
        load_token_signer(AUDIT).sign(b"words")
    missing = load_token_signer(f"{AUDIT}&pin-source=file:{tmp_path}/pin", pin=PIN)
    with pytest.raises(LedgerError, match="pin: cannot be read as the token's PIN: No such file"):
        missing.sign(b"words")


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    with pytest.raises(LedgerError, match=r"needs the package python-pkcs11.*pip install 'easel\[pkcs11\]'"):
        load_token_signer(AUDIT)


def test_threads_sign_at_once(hsm):
    signer = load_token_signer(AUDIT, pin=PIN)
    words = [b"%d" % number for number in range(40)]
    with ThreadPoolExecutor(4) as pool:
        signatures = list(pool.map(signer.sign, words))
    assert all(map(holds, [signer.public_pem] * len(words), words, signatures))


FORKS = """
import os, sys, threading
from components.lineage.keys import verify_signature
from components.lineage.token_key import load_token_signer

signer, is_done = load_token_signer(sys.argv[1], pin=sys.argv[2]), threading.Event()

def sign_on():
    while not is_done.is_set():
        signer.sign(b"parent")

threads = [threading.Thread(target=sign_on) for _ in range(2)]
for thread in threads:
    thread.start()
ended = []
for number in range(10):
    child = os.fork()
    if not child:
        words = b"child %d" % number
        os._exit(0 if verify_signature(signer.public_pem, words, signer.sign(words)) else 3)
    ended.append(os.waitpid(child, 0)[1])
is_done.set()
for thread in threads:
    thread.join()
print(ended, verify_signature(signer.public_pem, b"after", signer.sign(b"after")))
"""


def test_forked_children_sign_while_threads_of_the_parent_do(hsm):
    done = subprocess.run([sys.executable, "-c", FORKS, AUDIT, PIN], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == (f"{[0] * 10} True\n", 0), done.stderr


SIGNS = """
import sys
from components.lineage.keys import verify_signature
from components.lineage.token_key import load_token_signer

signer = load_token_signer(sys.argv[1], pin=sys.argv[2])
print(sum(verify_signature(signer.public_pem, b"%d" % number, signer.sign(b"%d" % number)) for number in range(100)))
"""


def test_processes_sign_at_once(hsm):
    command = [sys.executable, "-c", SIGNS, AUDIT, PIN]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate() for process in running] == [("100\n", "")] * 3


REMOVED = """
import shutil, sys
from components.lineage.keys import verify_signature
from components.lineage.token_key import load_token_signer

signer = load_token_signer(sys.argv[1], pin=sys.argv[2])
signer.sign(b"words")
shutil.move(sys.argv[3], sys.argv[4])
for _ in range(2):
    try:
        signer.sign(b"words")
    except ValueError as error:
        print(error)
shutil.move(sys.argv[4], sys.argv[3])
print(verify_signature(signer.public_pem, b"words", signer.sign(b"words")))
"""


def test_a_token_that_is_removed_is_one_line_and_signs_again_when_it_is_back(pems, tmp_path):
    pulled = SoftHsm(tmp_path)
    folder = pulled.make_token("pulled")
    pulled.put("pulled", "ledger", "01", pems / "ledger.pem")
    command = [sys.executable, "-c", REMOVED, key_uri("token=pulled;object=ledger"), PIN, str(folder)]
    command.append(str(tmp_path / "elsewhere"))
    environment = os.environ | pulled.environment
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    missing = "token 'pulled': no such token in this module; is it plugged in, and is its name right?"
    assert done.stdout.splitlines() == [missing, missing, "True"]
