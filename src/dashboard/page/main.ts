import { Connection } from './connection.js';
import { element, make, setText } from './dom.js';
import { EventLog } from './event-log.js';
import { Feed, type Received } from './feed.js';
import { count, duration, several } from './format.js';
import { Plots } from './plots.js';
import { PodWatch } from './pod.js';
import { PublishCard } from './publish-card.js';
import { PublishToken } from './publish-token.js';
import { MAX_ROWS, SignalList } from './signal-list.js';
import { Statuses } from './statuses.js';

/** Above this many signals a second nobody follows single rows: they no longer light up, and appear in groups. */
const CALM_RATE = 20;
/** How often the groups are drawn: moving all rows down in every frame would leave no time for anything else. */
const PACE_MS = 100;

const feed = new Feed(Date.now());
const list = new SignalList(element('signals', HTMLElement));
const log = new EventLog(element('events', HTMLElement));
const statuses = new Statuses(element('services', HTMLElement), element('no-services', HTMLElement));
const plots = new Plots(element('rate-plot', HTMLElement), element('latency-plot', HTMLElement), feed.timeline.points);

const filter = element('filter', HTMLInputElement);
const pause = element('pause', HTMLButtonElement);
const reconnect = element('reconnect', HTMLButtonElement);
const token = element('token-form', HTMLFormElement);
let wanted = '';
/** The number of signals when the list was paused; `undefined` while it moves. */
let pausedAt: number | undefined;
let framePending = false;
let paceMs = 0;
let drawnAtMs = 0;

function matches(signal: Received): boolean {
  return wanted === '' || signal.symbol.toLowerCase().includes(wanted);
}

function* matching(): Generator<Received, void> {
  for (const signal of feed.kept.newestFirst()) if (matches(signal)) yield signal;
}

/** Draws what has come since the last frame, all at once. */
function draw(): void {
  framePending = false;
  drawnAtMs = performance.now();
  const fresh = feed.takeFresh();
  if (pausedAt === undefined) list.add(wanted === '' ? fresh : fresh.filter(matches));
  drawCounts();
}

function wholeness(): string {
  const { isPartial, isWhole, holes, repeated, lostJournals } = feed.contiguity;
  if (isPartial) return 'not checked: the token only allows some symbols';
  if (isWhole) return 'no gaps, no duplicates';
  const parts = [
    ...(lostJournals > 0 ? [several(lostJournals, 'lost journal')] : []),
    ...(holes > 0 ? [`in ${several(holes, 'gap')}`] : []),
    ...(repeated > 0 ? [`${count(repeated)} arrived twice`] : []),
  ];
  return parts.join(', ');
}

/** What was in a journal that is lost has no number. */
function missedText(): string {
  const { missed, lostJournals } = feed.contiguity;
  if (lostJournals === 0) return count(missed);
  return missed === 0 ? '?' : `${count(missed)}+`;
}

function drawCounts(): void {
  const { contiguity, received } = feed;
  const note = pausedAt === undefined ? 'newest first' : `paused, ${count(received - pausedAt)} new`;
  setText(element('list-note', HTMLElement), note);
  setText(element('received', HTMLElement), count(received));
  setText(element('missed', HTMLElement), missedText());
  element('missed-tile', HTMLElement).dataset['state'] = contiguity.isWhole ? 'good' : 'bad';
  setText(element('missed-note', HTMLElement), wholeness());
  const { last } = contiguity;
  const isEmpty = last === undefined || received === 0;
  setText(element('place', HTMLElement), isEmpty ? 'since this page was opened' : `newest is #${last.seq}`);
  element('empty', HTMLElement).hidden = list.size > 0;
  setText(element('empty', HTMLElement), received === 0 ? 'Waiting for the first signal…' : 'No signal matches.');
}

function schedule(): void {
  if (framePending) return;
  framePending = true;
  const wait = drawnAtMs + paceMs - performance.now();
  if (wait > 0) setTimeout(() => requestAnimationFrame(draw), wait);
  else requestAnimationFrame(draw);
}

function rateText(rate: number): string {
  return rate >= 10 || rate === 0 ? count(Math.round(rate)) : rate.toFixed(1);
}

/** Once a second: plots and what they say in words. */
function tick(): void {
  const { timeline } = feed;
  timeline.advance(Date.now() / 1000);
  const { rate, latency } = timeline;
  setText(element('rate', HTMLElement), rateText(rate));
  setText(element('latency', HTMLElement), latency === undefined ? '—' : duration(latency.median));
  const high = latency === undefined ? 'no recent signal' : `95 % within ${duration(latency.high)}`;
  setText(element('latency-note', HTMLElement), high);
  const isCalm = rate < CALM_RATE;
  paceMs = isCalm ? 0 : PACE_MS;
  element('signals', HTMLElement).classList.toggle('calm', isCalm);
  if (!document.hidden) plots.draw(timeline.points);
  proposeSymbols();
}

let proposed = 0;
function proposeSymbols(): void {
  if (feed.symbols.size === proposed) return;
  proposed = feed.symbols.size;
  const options = [...feed.symbols].toSorted().map((symbol) => {
    const option = make('option');
    option.value = symbol;
    return option;
  });
  element('symbols', HTMLDataListElement).replaceChildren(...options);
}

const publishToken = new PublishToken();
const watch = new PodWatch(
  () => connection.isConnected,
  () => publishToken.headers,
  (info) => {
    setText(element('pod', HTMLElement), info.pod);
    setText(element('version', HTMLElement), info.version);
    setText(element('clients', HTMLElement), count(info.connections));
    publishCard.show(info);
  },
);
const publishCard = new PublishCard(publishToken, () => void watch.ask());

const connection = new Connection({
  feed,
  log,
  view: {
    state: (state, text) => {
      element('state', HTMLElement).dataset['state'] = state;
      setText(element('state-text', HTMLElement), text);
      reconnect.hidden = state !== 'refused';
      if (state === 'connected') token.hidden = true;
      // Until the next pod tells: the number of the last pod no longer holds.
      else setText(element('clients', HTMLElement), '—');
    },
    askForToken: () => {
      token.hidden = false;
      // The form has a button of its own.
      reconnect.hidden = true;
    },
    changed: schedule,
    status: (status) => {
      statuses.show(status);
      schedule();
    },
  },
  askPod: () => watch.ask(),
});

filter.addEventListener('input', () => {
  wanted = filter.value.trim().toLowerCase();
  list.reset(matching());
  drawCounts();
});
pause.addEventListener('click', () => {
  pausedAt = pausedAt === undefined ? feed.received : undefined;
  setText(pause, pausedAt === undefined ? 'Pause' : 'Continue');
  if (pausedAt === undefined) list.reset(matching());
  drawCounts();
});
reconnect.addEventListener('click', () => connection.connect());
token.addEventListener('submit', (event) => {
  event.preventDefault();
  connection.connect(element('token', HTMLInputElement).value.trim());
});
setText(element('max-rows', HTMLElement), String(MAX_ROWS));
setInterval(tick, 1000);
tick();
