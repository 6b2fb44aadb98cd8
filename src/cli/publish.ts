import { type Stats, createReadStream, fstatSync, openSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeItem } from '../contract/decode.js';
import { FEED_EVENTS, type FeedEvent } from '../contract/events.js';
import { MAX_PUBLISH_BATCH } from '../contract/publish-request.js';
import { EXIT, StartError, messageOf } from '../errors.js';
import { HttpTarget } from './http-target.js';
import { type Line, linesOf } from './lines.js';
import { type MessageOptions, messageFrom } from './message.js';
import { unlessEmpty } from './options.js';
import { PublishProgress, number } from './publish-progress.js';
import { type Item, type Outcome, PublishFailure, type PublishTarget } from './publish-target.js';
import { goOnWithoutReader, stripControlCharacters } from './terminal.js';

/** Options of `publish`, as commander reads them. */
export interface PublishOptions extends MessageOptions {
  readonly url: URL;
  readonly apiKey?: string;
  readonly redis?: string | true;
  readonly stream?: string | true;
  readonly retryFor?: number;
  readonly idempotencyKey?: string;
  /** Most lines in one request. */
  readonly batch?: number;
}

/** The highest value that MAX_SIGNAL_BYTES can have; the gateway enforces its own. */
const MAX_LINE_BYTES = 1024 * 1024;
/** Longest text of one request, so that memory does not grow with the file. */
const MAX_BATCH_BYTES = 1024 * 1024;
const SEPARATOR_BYTES = 1;
/** Lines are published together unless the next ones take longer than this. */
const IDLE_MS = 20;
const RETRY_SECONDS = { one: 5, many: 30 } as const;
const KILLED_BY_SIGINT = 130;

async function targetOf(
  options: PublishOptions,
  count: 'one' | 'many',
  say: (text: string) => void,
): Promise<PublishTarget> {
  const { env } = process;
  const { idempotencyKey: key } = options;
  if (options.stream !== undefined) return streamTarget(options);
  if (options.redis !== undefined) {
    if (key !== undefined) {
      throw new StartError('--idempotency-key cannot be used with --redis: PUBLISH has no such keys.', EXIT.config);
    }
    const url = options.redis === true ? unlessEmpty(env['REDIS_URL']) : options.redis;
    if (url === undefined) throw new StartError('--redis needs an address: add one, or set REDIS_URL.', EXIT.config);
    const { RedisPublishTarget } = await import('./redis-target.js');
    const [new_signal, status_update] = FEED_EVENTS;
    return new RedisPublishTarget(url, {
      new_signal: unlessEmpty(env['SIGNAL_CHANNEL']) ?? new_signal,
      status_update: unlessEmpty(env['STATUS_CHANNEL']) ?? status_update,
    });
  }
  // API_KEY of a gateway may be a list; any of its keys is good.
  const apiKey = unlessEmpty(options.apiKey)?.split(',')[0]?.trim();
  return new HttpTarget({
    url: options.url,
    apiKey,
    retryForMs: (options.retryFor ?? RETRY_SECONDS[count]) * 1000,
    idempotencyKey: key === undefined ? undefined : count === 'one' ? { exact: key } : { base: key },
    say,
  });
}

async function streamTarget({ redis, stream, idempotencyKey: key }: PublishOptions): Promise<PublishTarget> {
  const { env } = process;
  if (key !== undefined) {
    throw new StartError('--idempotency-key cannot be used with --stream: XADD has no such keys.', EXIT.config);
  }
  const url = typeof redis === 'string' ? redis : unlessEmpty(env['REDIS_URL']);
  if (url === undefined) {
    throw new StartError('--stream needs the address of a Redis: add --redis <url>, or set REDIS_URL.', EXIT.config);
  }
  const names = { new_signal: unlessEmpty(env['SIGNAL_STREAM']), status_update: unlessEmpty(env['STATUS_STREAM']) };
  if (stream === true && names.new_signal === undefined && names.status_update === undefined) {
    const text = '--stream needs the name of a stream: add one, or set SIGNAL_STREAM and STATUS_STREAM.';
    throw new StartError(text, EXIT.config);
  }
  const { StreamPublishTarget } = await import('./stream-target.js');
  return new StreamPublishTarget(url, typeof stream === 'string' ? stream : names);
}

/**
 * The command `publish`. Sets the exit code.
 *
 * @param file - `-` is standard input
 * @throws StartError when the options are wrong, or nothing more can be published
 */
export async function publish(file: string | undefined, options: PublishOptions): Promise<void> {
  goOnWithoutReader();
  const message = messageFrom(options, new Date());
  if (message === undefined) {
    await publishLines(file, options);
    return;
  }
  if (file !== undefined)
    throw new StartError('Give either one message as options or a file of messages, not both.', EXIT.config);
  const target = await targetOf(options, 'one', (text) => process.stderr.write(`${text}\n`));
  try {
    const { offsets, refused } = await target.publish(message.event, [{ line: 1, text: message.json }]);
    for (const { why } of refused) throw new StartError(`Not published: ${why}`, EXIT.failed);
    for (const offset of offsets) process.stdout.write(`${offset}\n`);
    sayNote(target);
  } catch (error) {
    if (!(error instanceof PublishFailure) || error.unsure.length === 0) throw error;
    const text = `${error.message}\nThe message may have been published.${hintFor(options)}`;
    throw new StartError(text, EXIT.failed);
  } finally {
    target.close();
  }
}

function sayNote(target: PublishTarget): void {
  const note = target.note?.();
  if (note !== undefined) process.stderr.write(`${note}\n`);
}

/** What to do when it is not known whether something was published. */
function hintFor({ redis, stream, idempotencyKey }: PublishOptions): string {
  if (redis !== undefined || stream !== undefined) return '';
  return idempotencyKey === undefined
    ? ' If you publish it again, it may arrive twice; with an --idempotency-key from the start it would not.'
    : ' If you run this again with the same --idempotency-key within 5 minutes, nothing is published twice.';
}

/** @throws StartError for a folder, which can be opened but not read */
function refuseFolder(stat: Stats, name: string): void {
  if (!stat.isDirectory()) return;
  throw new StartError(`Cannot read ${name}: it is a folder. Give a file with one JSON object a line.`, EXIT.failed);
}

/** Where lines come from, and how many bytes they are if that is known. */
function openInput(file: string | undefined): { stream: Readable; bytes: number | undefined } {
  if (file !== undefined && file !== '-') {
    try {
      // Opened now: a stream that opens its file later could fail before anybody listens for errors.
      const fd = openSync(file, 'r');
      const stat = fstatSync(fd);
      refuseFolder(stat, file);
      return { stream: createReadStream(file, { fd }), bytes: stat.isFile() ? stat.size : undefined };
    } catch (error) {
      if (error instanceof StartError) throw error;
      throw new StartError(`Cannot read ${file}: ${messageOf(error)}.`, EXIT.failed);
    }
  }
  if (file === undefined && process.stdin.isTTY) {
    throw new StartError(
      'Nothing to publish: give a message (--symbol, --signal and --price, or --status and --service), a file, or lines on ' +
        'standard input. "signal-gateway publish --help" has examples.',
      EXIT.config,
    );
  }
  const stat = fstatSync(process.stdin.fd);
  refuseFolder(stat, 'standard input');
  return { stream: process.stdin, bytes: stat.isFile() ? stat.size : undefined };
}

/** The event that a line is for: a status names a service, and is neither BUY nor SELL. */
function eventOf(text: string): FeedEvent {
  // Few lines have the word, or escapes that could spell it; only those are parsed twice.
  if (!/"service"|\\u/.test(text)) return 'new_signal';
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && 'service' in value && !('signal' in value)
      ? 'status_update'
      : 'new_signal';
  } catch {
    return 'new_signal';
  }
}

/** Collects lines of one event, and publishes them together. */
class Lines {
  readonly #target: PublishTarget;
  readonly #progress: PublishProgress;
  readonly #batch: number;
  #event: FeedEvent = 'new_signal';
  #items: Item[] = [];
  #bytes = 0;
  #published = 0;
  bad = 0;
  /** The last line whose outcome is known. */
  settled = 0;
  /** Lines after that one that may have been published. */
  unsure: readonly Item[] = [];

  /** @param batch - most lines that are published together */
  constructor(target: PublishTarget, progress: PublishProgress, batch: number) {
    this.#target = target;
    this.#progress = progress;
    this.#batch = batch;
  }

  get published(): number {
    return this.#published;
  }

  /** Whether lines wait to be published. */
  get waiting(): boolean {
    return this.#items.length > 0;
  }

  async take(line: Line): Promise<void> {
    if ('fault' in line) {
      this.#reject(line.number, line.fault);
      return;
    }
    const event = eventOf(line.text);
    const decoded = decodeItem(event, line.text, MAX_LINE_BYTES);
    if (!decoded.ok) {
      this.#reject(line.number, decoded.detail);
      return;
    }
    const bytes = Buffer.byteLength(line.text) + SEPARATOR_BYTES;
    if (event !== this.#event || this.#bytes + bytes > MAX_BATCH_BYTES) await this.flush(line.end);
    this.#event = event;
    this.#items.push({ line: line.number, text: line.text });
    this.#bytes += bytes;
    if (this.#items.length >= this.#batch) await this.flush(line.end);
  }

  /** Publishes what is collected. */
  async flush(end: number): Promise<void> {
    const items = this.#items;
    if (items.length === 0) return;
    this.#items = [];
    this.#bytes = 0;
    try {
      this.#note(await this.#target.publish(this.#event, items));
      this.settled = items.at(-1)?.line ?? this.settled;
    } catch (error) {
      if (error instanceof PublishFailure) {
        this.#note(error.outcome);
        if (error.next !== items[0]?.line) this.settled = error.next - 1;
        this.unsure = error.unsure;
      }
      throw error;
    }
    this.#progress.update(this.#published, end);
  }

  #note({ published, refused }: Outcome): void {
    this.#published += published;
    for (const { item, why } of refused) this.#reject(item.line, why);
  }

  #reject(line: number, why: string): void {
    this.bad++;
    const reason = stripControlCharacters(why.replace(/\.?( Nothing was published\.)?$/, ''));
    this.#progress.say(`line ${line}: ${reason}; not published`);
  }
}

/** How lines are published. */
interface PublishPace {
  /** Whether the batches depend on the lines alone, and not on when the lines come. */
  readonly isSteady: boolean;
  readonly isOver: () => boolean;
}

/**
 * Publishes lines as they come: together where many come at once, and soon where they come one by one.
 *
 * @param chunks - lines that came together
 */
async function publishAll(
  chunks: AsyncGenerator<readonly Line[]>,
  lines: Lines,
  { isSteady, isOver }: PublishPace,
): Promise<void> {
  let end = 0;
  for (let next = chunks.next(); !isOver(); next = chunks.next()) {
    // Its error is thrown below.
    next.catch(() => {});
    if (!isSteady && lines.waiting && (await isSlow(next))) await lines.flush(end);
    const { done, value } = await next;
    if (done === true) break;
    for (const line of value) {
      if (isOver()) return;
      end = line.end;
      await lines.take(line);
    }
  }
  if (!isOver()) await lines.flush(end);
}

async function isSlow(next: Promise<unknown>): Promise<boolean> {
  return Promise.race([next.then(() => false), sleep(IDLE_MS, true)]);
}

/** What to do with the lines that are not done. */
function whatIsNext({ settled, unsure }: Lines, options: PublishOptions): string {
  const [first] = unsure;
  const last = unsure.at(-1);
  if (first === undefined || last === undefined) return `continue from line ${settled + 1}.`;
  const which = first === last ? `line ${first.line}` : `lines ${first.line} to ${last.line}`;
  return `${which} may have been published, and nothing after.${hintFor(options)}`;
}

async function publishLines(file: string | undefined, options: PublishOptions): Promise<void> {
  const input = openInput(file);
  const progress = new PublishProgress(process.stderr, input.bytes);
  const target = await targetOf(options, 'many', (text) => progress.say(text));
  const lines = new Lines(target, progress, options.batch ?? MAX_PUBLISH_BATCH);
  let interrupted = false;
  process.once('SIGINT', () => {
    interrupted = true;
    // What is under way ends, so that its outcome is known; a second Ctrl-C does not wait.
    target.hurry();
    input.stream.destroy();
  });
  let failure: unknown;
  try {
    await publishAll(linesOf(input.stream, MAX_LINE_BYTES), lines, {
      isSteady: options.idempotencyKey !== undefined,
      isOver: () => interrupted,
    });
  } catch (error) {
    failure = error;
  } finally {
    progress.done();
    target.close();
  }
  const summary = `${number(lines.published)} published${lines.bad === 0 ? '' : `, ${number(lines.bad)} not`}.`;
  if (failure === undefined && !interrupted) {
    process.stderr.write(`${summary}\n`);
    sayNote(target);
    if (lines.bad > 0) process.exitCode = EXIT.failed;
    return;
  }
  const done = `${summary} Everything up to line ${lines.settled} is done; ${whatIsNext(lines, options)}`;
  process.stderr.write(interrupted ? `Interrupted. ${done}\n` : `${messageOf(failure)}\n${done}\n`);
  // Standard input may still be open, and would keep the process alive.
  process.exit(interrupted ? KILLED_BY_SIGINT : EXIT.failed);
}
