/** The shape of an attack: what one client sends, how it sends it, and what it does with the answers. */

/** Values of one kind, written into a message as JSON text. */
const VALUES = [
  'text',
  'wide text',
  'escapes',
  'empty objects',
  'empty arrays',
  'nested arrays',
  'nested objects',
  'keys',
  'equal keys',
  'numbers as keys',
  'integers',
  'fractions',
  'separate numbers',
  'short texts',
  'wide texts',
  'URIs',
  'equal URIs',
  'booleans',
] as const;
export type ValueKind = (typeof VALUES)[number];

/** Where the values stand in the parameters of the message. */
const PLACES = [
  'arguments',
  '_meta',
  'more',
  'name',
  'uri',
  'uris',
  'cursor',
  'id',
  'progressToken',
  'capabilities',
  'clientInfo',
  'log level',
  'ref',
  'result',
] as const;
export type Place = (typeof PLACES)[number];

const CALLS = ['echo', 'big', 'last', 'long', 'keep', 'wait', 'ask', 'none'].map(
  (tool) => `tools/call ${tool}` as const,
);
const BOTH = [
  ...CALLS,
  'tools/list',
  'resources/list',
  'resources/templates/list',
  'resources/read',
  'prompts/list',
  'prompts/get',
  'completion/complete',
  'notifications/cancelled',
  'notifications/progress',
  'notifications/roots/list_changed',
  'notifications/unknown',
  'unknown',
] as const;

/** Every kind of message of an era; words in capitals are HTTP methods, and `answer` and `error` are for questions. */
export const METHODS = {
  '2025': [
    ...BOTH,
    'initialize',
    'ping',
    'resources/subscribe',
    'resources/unsubscribe',
    'logging/setLevel',
    'notifications/initialized',
    'answer',
    'error',
    'GET',
    'GET resume',
    'DELETE',
  ],
  '2026': [...BOTH, 'server/discover', 'subscriptions/listen', 'GET', 'DELETE', 'OPTIONS'],
  sse: [
    ...BOTH,
    'initialize',
    'ping',
    'resources/subscribe',
    'logging/setLevel',
    'notifications/initialized',
    'answer',
    'GET',
  ],
} as const satisfies Record<string, readonly string[]>;
export type Era = keyof typeof METHODS;
export const ERAS = Object.keys(METHODS) as Era[];

export interface Shape {
  readonly era: Era;
  readonly method: string;
  /** `parsed`: the node face, where the application parses the body. */
  readonly face: 'node' | 'fetch' | 'parsed';
  readonly place: Place;
  readonly value: ValueKind;
  readonly count: number;
  /** Characters of each element. */
  readonly size: number;
  readonly depth: number;
  /** Messages of one body, which is an array from 2 on. */
  readonly batch: number;
  readonly headers: number;
  readonly headerSize: number;
  /** Bytes of each chunk; 0 sends a `Content-Length`. */
  readonly chunk: number;
  /** Requests that are written at once. */
  readonly pipelined: number;
  /** Requests on a connection before the client opens another; 0: any number. */
  readonly perConnection: number;
  readonly connections: number;
  /** Whether each connection has a session, or all have the same. */
  readonly sessions: 'one' | 'each' | 'none';
  readonly reads: boolean;
  /** What the client does with its last request on a connection. */
  readonly leaves: 'in order' | 'cut' | 'half a body';
  /** Between two writes on a connection. */
  readonly paceMs: number;
  /** Bytes that a tool is asked for. */
  readonly answer: number;
  readonly named: boolean;
}

export type Random = () => number;

const oneOf = <T>(random: Random, all: readonly T[]): T =>
  all[Math.floor(random() * all.length)] as T;
const sometimes = <T>(random: Random, part: number, one: () => T, otherwise: T): T =>
  random() < part ? one() : otherwise;
/** Between `least` and `most`, with as many small numbers as large ones. */
const between = (random: Random, least: number, most: number): number =>
  Math.round(least * (most / least) ** random());

const GENES: {
  readonly [Name in keyof Shape]: (random: Random, shape: Pick<Shape, 'era'>) => Shape[Name];
} = {
  era: (random) => oneOf(random, ERAS),
  method: (random, { era }) => oneOf(random, METHODS[era]),
  face: (random) => oneOf(random, ['node', 'fetch']),
  place: (random) => oneOf(random, PLACES),
  value: (random) => oneOf(random, VALUES),
  count: (random) => between(random, 1, 2_000_000),
  size: (random) => between(random, 1, 2_000_000),
  depth: (random) => between(random, 1, 2_000),
  batch: (random) => sometimes(random, 0.2, () => between(random, 1, 200), 1),
  headers: (random) => sometimes(random, 0.3, () => between(random, 1, 2_000), 0),
  headerSize: (random) => between(random, 1, 16_000),
  chunk: (random) => sometimes(random, 0.3, () => between(random, 1, 65_536), 0),
  pipelined: (random) => sometimes(random, 0.5, () => between(random, 1, 400), 1),
  perConnection: (random) => sometimes(random, 0.5, () => between(random, 1, 1_000), 0),
  connections: (random) => sometimes(random, 0.4, () => between(random, 1, 64), 64),
  sessions: (random) => oneOf(random, ['one', 'each', 'none']),
  reads: (random) => random() < 0.6,
  leaves: (random) => oneOf(random, ['in order', 'in order', 'cut', 'half a body']),
  paceMs: (random) => sometimes(random, 0.4, () => between(random, 1, 1_000), 0),
  answer: (random) => between(random, 1, 8_000_000),
  named: (random) => random() < 0.8,
};
const NAMES = Object.keys(GENES) as Array<keyof Shape>;

/** What a client may send at most in one request; see `limits.bodyBytes`. */
const BODY_BYTES = 4.3 * 2 ** 20;
const HEAD_BYTES = 20_000;

/** `count` and `size` multiply, so that one of them gives way. */
function bounded(shape: Shape): Shape {
  const size = Math.min(shape.size, BODY_BYTES);
  const count = Math.max(
    1,
    Math.min(shape.count, Math.floor(BODY_BYTES / shape.batch / (size + 2))),
  );
  const headerSize = Math.max(
    1,
    Math.min(shape.headerSize, Math.floor(HEAD_BYTES / Math.max(1, shape.headers)) - 8),
  );
  const known: readonly string[] = METHODS[shape.era];
  const method = known.includes(shape.method) ? shape.method : 'tools/call echo';
  return { ...shape, count, size: Math.floor(size), headerSize, method };
}

export function randomShape(random: Random, given: Partial<Shape> = {}): Shape {
  const era = given.era ?? GENES.era(random, { era: '2025' });
  const shape = Object.fromEntries(NAMES.map((name) => [name, GENES[name](random, { era })]));
  return bounded({ ...(shape as unknown as Shape), ...given, era });
}
