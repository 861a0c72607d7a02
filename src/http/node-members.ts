/**
 * Private members of `node:http` that this library uses where they are. A version that moved one gets a line in the log
 * with the first connection that lacks it (docs/internals/private-members.md).
 */
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { memberMoved } from '../base/moved-member.ts';
import type { Logger } from '../types.ts';

type Connection = Socket & { readonly parser?: { readonly pause?: unknown; readonly resume?: unknown } | null };

interface Member {
  readonly name: string;
  has(connection: Connection): boolean;
  readonly lost: string;
}

const WAITS = 'one client that sends many requests or small chunks at once makes others wait';

const MEMBERS: readonly Member[] = [
  {
    name: '_httpMessage',
    has: (connection) => '_httpMessage' in connection,
    lost: 'requests behind another one on a connection begin at once',
  },
  { name: '_paused', has: (connection) => '_paused' in connection, lost: WAITS },
  // `null` once the connection is over.
  { name: 'parser.resume', has: ({ parser }) => parser === null || parser?.resume !== undefined, lost: WAITS },
  {
    name: 'parser.pause',
    has: ({ parser }) => parser === null || parser?.pause !== undefined,
    lost: 'a connection that is cut is parsed to its end',
  },
  { name: '_dump', has: () => '_dump' in IncomingMessage.prototype, lost: WAITS },
];

/** Looks at each connection until one has told what is missing, and names each member once. */
export function nodeMembers(logger: Logger): (connection: Socket) => void {
  const named = new Set<string>();
  return (connection) => {
    // An adapter may pass what only looks like a socket.
    if (!(connection instanceof Socket)) return;
    for (const { name, has, lost } of MEMBERS) {
      if (named.has(name) || has(connection)) continue;
      named.add(name);
      memberMoved(logger, 'Node.js', name, lost);
    }
  };
}
