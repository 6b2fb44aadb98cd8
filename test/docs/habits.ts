/** A phrase that no native writer would use: what finds it, what to write instead, and a sentence that has it. */
export type Habit = readonly [phrase: RegExp, instead: string, example: string];

/**
 * Phrases that crept into the project again and again, most of them word by word from another language. A space in a pattern
 * also matches the end of a line, with the sign of a comment on the next one.
 */
export const HABITS: readonly Habit[] = [
  [/\bcan not(?! only)\b/, 'cannot', 'Redis can not be reached.'],
  [/\bin force\b/, 'active', 'These topics are in force.'],
  [/\b(?:come|comes|came|coming) again\b/, 'reconnects, arrives again', 'The client comes again.'],
  [
    /\b(?:who|whoever|clients?|clients? that) (?:come|comes|came) back\b/,
    'reconnects',
    'A client that comes back gets what it missed.',
  ],
  [/\b(?:come|comes|came) (?:once|twice)\b/, 'arrives or appears once, twice', 'No signal comes twice.'],
  [/\btold of\b/, 'notified of, told about', 'It is told of a gap.'],
  [/\btells? of\b/, 'reports, describes', 'GET /v1/info tells of each pod.'],
  [/\btells more of\b/, 'describes in full', '--help tells more of each command.'],
  [/\btold (?:as|on)\b/, 'listed, reported on', 'Gaps are told on standard error.'],
  [/\balso when\b/, 'even if', 'It publishes everything, also when nobody reads.'],
  [/\b(?:say|says|said) nothing for\b/, 'is silent for', 'The client said nothing for 10 seconds.'],
  [/\btold (?:when|just before|after)\b/, 'called when …', 'Told when Redis is back.'],
  [/\bspeaks? of\b/, 'mentions, reports', 'It speaks of itself.'],
  [/\bsa(?:y|ys|id) of (?:the|a|an|its?|itself|them|whom?)\b/, 'says about', 'What a pod says of itself.'],
  [/\bkn(?:ow|ows|ew) nothing of\b/, 'knows nothing about', 'They know nothing of topics.'],
  [/\b(?:is|are|was|were|be|being) looked at\b/, 'is checked', 'The size is looked at first.'],
  [/\blooks? (?:whether|that)\b/, 'checks whether, checks that', 'It looks whether Redis answers.'],
  [/\bsince 1970\b/, 'Unix time in ms', 'The time, ms since 1970.'],
  [/\b(?:that|which|what|who) (?:are|is) none\b/, 'is invalid, is not one', 'Topics that are none are refused.'],
  [
    /\b(?:what|that|which) (?:is|are) no (?!longer\b|more\b|other\b|less\b)/,
    'is not a …, an invalid …',
    'What is no number is refused.',
  ],
  [/\bis not one(?=[.,;:'"`]| is\b)/, 'Invalid …', 'The Idempotency-Key is not one.'],
  [/(?<!\b(?:for|to|of|with|by|from|against) )\bwhom\b/, 'who, or name them', 'Whom the parts with Redis tell.'],
  [/(?:[.;(] |['"`])who (?:has|is|can|may|comes)\b(?![^.]*\?)/, 'whoever has, clients that can', "'who has the token"],
  [/\b(?:one's own|(?:its|their|your) own making)\b/, 'your own, that it makes up', "Handlers of one's own."],
  [/\bhal(?:f|ves) of (?:a )?surrogate pairs?\b/, 'unpaired surrogate', 'It has half of a surrogate pair.'],
  [/\bstands? (?:once|twice|beside)\b/, 'appears once, twice; is next to', 'The field stands twice.'],
  [/\bin silence\b/, 'silently', 'It drops messages in silence.'],
  [/(?<!\b(?:is|are|was|were|be) )\ball the same\b/, 'anyway, nevertheless', 'It is sent all the same.'],
  [/\bas good as none\b/, 'is ignored, has no effect', 'A full storage is as good as none.'],
  [/\blet go\b|\blet(?:s|ting)? (?:\w+ ){0,3}clients go\b/, 'disconnect, release', 'A pod lets all its clients go.'],
  [/\bbe had\b/, 'is available, can be read', 'The keys cannot be had.'],
  [/\b(?:go|goes|went) on (?:where|from|with)\b/, 'continues', 'It goes on where it was.'],
  [/\b(?:out of|in) reach\b/, 'unreachable, can be reached', 'Redis is out of reach.'],
  [/\bwhat there is of\b/, 'what exists of', 'What there is of the session.'],
  [/\bpassed over\b/, 'skipped, ignored', 'Other fields are passed over.'],
  [/\bneither(?=['"`.,;:)])/, 'not … either', 'Without the token neither.'],
  [/, else\b(?= [a-z])/, 'otherwise', 'By the id, else by content.'],
  [/\bas (?:it|they) came\b/, 'unchanged, as received', 'The text as it came.'],
  [/\b(?:became|becomes?) of\b/, 'what happened to', 'What became of a message.'],
  [/\bin the place of\b/, 'instead of', 'A new one in the place of the old.'],
  [/\bnot any more\b/, 'no longer', 'It is not any more.'],
  [/\bhas got\b/, 'has received, has reached', 'Where it has got to.'],
  [/\banew\b/, 'again, from the start', 'It subscribes anew.'],
  [/\bat (?:its|their) start\b/, 'when it starts', 'The link that it shows at its start.'],
  [/\bpromise was rejected\b/, 'unhandled promise rejection', 'A promise was rejected and nobody handled it.'],
  [/\bgo(?:es)? without saying\b/, 'is implied', '--demo goes without saying.'],
  [/\b(?:shall|thereof|whereof|wherein|thence|whence)\b/, 'must, will, of it, where, from where', 'It shall stop.'],
];

/** What may be between two words: spaces, or the end of a line and the sign of a comment. */
const GAP = String.raw`(?:\s+(?:\*|//|#|--|>)\s+|\s+)`;

const COMPILED = HABITS.map(
  ([phrase, instead]) => [new RegExp(phrase.source.replaceAll(' ', GAP), 'gi'), instead] as const,
);

/** A part of a file to search. */
export interface Passage {
  readonly file: string;
  readonly text: string;
  /** The line of the file on which `text` begins. @default 1 */
  readonly line?: number;
}

/** @returns one line for each habit in the passage: the place, the words, and what to write instead */
export function habitsIn({ file, text, line = 1 }: Passage): string[] {
  return COMPILED.flatMap(([phrase, instead]) =>
    [...text.matchAll(phrase)].map((match) => {
      const at = line + text.slice(0, match.index + match[0].search(/\w/)).split('\n').length - 1;
      return `${file}:${at}: "${match[0].trim().replaceAll(/\s+/g, ' ')}" (write: ${instead})`;
    }),
  );
}

/** A title of a test or of a group, in a call of `test`, `it` or `describe`, or of what `.each(…)` returns. */
const TITLE =
  /(?:\b(?:test|it|describe)(?:\.\w+(?:\([^()]*\))?)*|(?<=[\])}])\))\(\s*(?<quote>['"`])(?<title>(?:\\.|(?!\k<quote>)[^\\])+)\k<quote>\s*[,)]/g;

/** The titles of tests in a source text. */
export function titlesIn(file: string, source: string): Passage[] {
  return [...source.matchAll(TITLE)].map(({ index, groups, 0: call }) => {
    const text = groups?.['title'] ?? '';
    return { file, text, line: source.slice(0, index + call.indexOf(text)).split('\n').length };
  });
}
