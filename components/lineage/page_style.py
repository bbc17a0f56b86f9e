"""The lineage page's style, beside that which all pages share."""

STYLE = """
main { max-width: 80rem; overflow-wrap: anywhere; }
code, .mono { font: .82em/1.45 ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; }
.scroll { overscroll-behavior-x: contain; } .scroll table { min-width: 44rem; overflow-wrap: break-word; }
.drawing { background: var(--sheet); border: 1px solid var(--line); border-radius: .6rem; margin: 1.25rem 0 0;
  padding: 1.25rem; text-align: center; }
.drawing svg { display: block; margin: 0 auto; font: 13px/1 system-ui, -apple-system, "Segoe UI", Roboto,
  "Noto Sans", sans-serif; }
.edge { fill: none; stroke: var(--edge); stroke-width: 1.25; }
.edge.beside { stroke-dasharray: 5 4; }
.more { display: none; pointer-events: none; } .more path { fill: none; stroke: var(--bar); stroke-width: 2; }
.holder:hover .more, .holder:focus-within .more { display: inline; }
.node { cursor: pointer; outline: none; } .source { cursor: default; }
.node rect { fill: var(--sheet); stroke: var(--edge); stroke-width: 1.25; }
.node text { fill: var(--ink); text-anchor: middle; } .node .under { fill: var(--quiet); font-size: 11px; }
.node.training rect { fill: var(--training); stroke: var(--bar); }
.node.decision rect { fill: var(--deciding); stroke: var(--chance); }
.node.source rect { fill: none; stroke-dasharray: 4 3; }
.node.asked rect { stroke: var(--ink); stroke-width: 2.5; }
.node:hover rect, a.node:focus rect { stroke: var(--bar); stroke-width: 2.5; }
.node .mark { fill: var(--chance); }
.key i.box { width: 1.1rem; height: .8rem; border: 1.25px solid var(--edge); border-radius: .2rem; }
.key i.training { background: var(--training); border-color: var(--bar); }
.key i.decision { background: var(--deciding); border-color: var(--chance); }
.key i.source { border-style: dashed; }
.key i.mark { width: .6rem; height: .6rem; border: 0; border-radius: 50%; background: var(--chance); }
nav { display: flex; flex-wrap: wrap; gap: .35rem 1.25rem; margin: 1.5rem 0 0; font-size: .9rem; }
.tag { display: inline-block; border: 1px solid var(--chance); border-radius: .3rem; padding: 0 .35rem;
  font-size: .75rem; line-height: 1.5; }
td.n + td, th.n + th { padding-left: .75rem; } td.when { white-space: nowrap; }
a { color: inherit; text-decoration-color: var(--bar); text-underline-offset: .15em; }
pre { background: var(--sheet); border: 1px solid var(--line); border-radius: .4rem; padding: .7rem .9rem;
  overflow-x: auto; margin: .75rem 0; }
.verdict { font-size: 1.1rem; font-weight: 600; margin: 1rem 0 .25rem; }
.verdict::before { content: "● "; color: var(--bar); } .verdict.bad::before { color: var(--chance); }
ol.steps { padding-left: 1.4rem; } ol.steps li { margin: .3rem 0; }
.record { display: none; }
.record:target { display: block; position: fixed; z-index: 2; inset: 0 0 0 auto; width: min(36rem, 100%);
  overflow: auto; overscroll-behavior: contain; background: var(--ground); border-left: 1px solid var(--line);
  padding: 1.25rem 1.5rem 3rem; box-shadow: -.5rem 0 2rem rgba(0, 0, 0, .18); }
.record:focus { outline: none; } details { margin: .75rem 0 0; } summary { cursor: pointer; color: var(--quiet); }
.record h2 { margin: 0 3rem .25rem 0; } .record h3 { font-size: .95rem; margin: 1.75rem 0 .25rem; }
.record .close { position: sticky; float: right; top: 0; text-decoration: none; border: 1px solid var(--line);
  border-radius: .4rem; background: var(--sheet); padding: .15rem .6rem; }
.record table { font-size: .85rem; margin: .25rem 0 0; table-layout: fixed; }
.record td { padding: .35rem .5rem .35rem 0; overflow-wrap: anywhere; } .record td:first-child { width: 34%; }
.record td.n { white-space: normal; }
@media (max-width: 48rem) { main { padding: 1.75rem 1rem 4rem; } h1 { font-size: 1.5rem; } h2 { margin-top: 2.5rem; }
  .drawing { padding: .75rem; } .record:target { padding: 1rem 1rem 3rem; } }
:root { --edge: #8a857c; --training: #e2efed; --deciding: #f6e6dd; }
@media (prefers-color-scheme: dark) { :root { --edge: #807b73; --training: #1f3331; --deciding: #3a281d; } }
@page { size: A4; margin: 14mm; }
@media print {
  :root { --ground: #ffffff; --sheet: #ffffff; --ink: #000000; --quiet: #444444; --line: #cccccc; --bar: #2f6f6a;
    --chance: #b4562b; --edge: #8a857c; --training: #e2efed; --deciding: #f6e6dd; }
  body { font-size: 9pt; } main { max-width: none; padding: 0; } nav, .record .close { display: none; }
  .scroll { overflow: visible; } .scroll table { min-width: 0; font-size: 7pt; overflow-wrap: anywhere; }
  .drawing { break-inside: avoid; padding: .5rem; } .drawing svg { max-width: 100%; max-height: 235mm; }
  h1, h2, h3 { break-after: avoid; } tr, li, dl div { break-inside: avoid; } thead { display: table-header-group; }
  th, td { padding: .2rem .5rem .2rem 0; } th { font-size: 7pt; } .key { font-size: 8pt; }
  .record, .record:target { display: block; position: static; width: auto; box-shadow: none; border: 0; padding: 0;
    border-top: 1px solid var(--line); margin-top: 2rem; overflow: visible; }
  .record h2 { margin-top: .75rem; } .record h3 { font-size: 8pt; margin: .5rem 0 0; } .record table { font-size: 7pt; }
  .record td { padding: .1rem .5rem .1rem 0; }
}
"""
