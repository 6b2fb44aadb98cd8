/** Styles of the report; the colours come from `colours.ts`. */
export const PAGE_CSS = `
*{box-sizing:border-box}
body{margin:0 auto;max-width:1260px;padding:24px 20px 64px;background:var(--page);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
h1{font-size:26px;margin:0 0 12px}
h2{font-size:20px;margin:0}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px;margin:0 0 12px;font-size:14px}
dt{color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere}
p{margin:6px 0}
.good::before{content:"✓ ";color:var(--python);font-weight:700}
.mark,.marks b{color:var(--mark)}
nav{display:flex;flex-wrap:wrap;gap:8px;margin:16px 0}
nav a{color:var(--ink);text-decoration:none;border:1px solid var(--line);background:var(--card);border-radius:999px;padding:2px 12px}
nav a:hover{border-color:var(--gateway)}
details{margin:8px 0;font-size:14px}
summary{cursor:pointer;color:var(--soft)}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:20px;margin:20px 0}
.lead{color:var(--soft)}
.chips{display:flex;flex-wrap:wrap;gap:6px;list-style:none;margin:8px 0 14px;padding:0;font-size:13px;color:var(--soft)}
.chips li{border:1px solid var(--line);border-radius:6px;padding:1px 8px}
.chips b{color:var(--ink);font-weight:600}
.scroll{overflow-x:auto;margin:0 0 12px}
table{border-collapse:collapse;width:100%;font-size:13px;font-variant-numeric:tabular-nums}
th,td{padding:6px;text-align:right;vertical-align:top;white-space:nowrap;border-bottom:1px solid var(--line)}
thead th{white-space:normal;vertical-align:bottom;font-size:12px;font-weight:600;color:var(--soft)}
tbody th{font-weight:600}
th:first-child{text-align:left;position:sticky;left:0;background:var(--card)}
.point th{color:var(--soft);padding-top:14px}
.load{width:160px;margin-left:auto;white-space:normal}
td small{display:block;color:var(--soft);font-size:11.5px}
td i{font-style:normal;color:var(--soft);font-size:11.5px}
.dot{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:8px}
.marks{list-style:none;margin:0 0 12px;padding:0;font-size:14px}
.note{color:var(--soft);font-size:14px;border-left:3px solid var(--line);padding-left:10px;margin:14px 0 0}
.pictures{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:18px 20px;margin-bottom:14px}
figure{margin:8px 0 0;grid-column:1/-1;min-width:0}
figure.half{grid-column:auto}
figcaption{font-weight:600;font-size:14px;margin-bottom:8px}
svg{display:block;width:100%;height:auto}
.narrow{display:none}
@media(max-width:640px){
body{padding:16px 10px 40px}
section{padding:14px 12px}
dl{grid-template-columns:1fr}
dt{margin-top:6px}
figure.half{grid-column:1/-1}
.wide{display:none}
.narrow{display:block}
}`;
