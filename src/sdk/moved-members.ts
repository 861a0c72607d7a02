/**
 * Private members that every server of the SDK has, and that this library only uses where they are. A version that
 * moved one of them gets a line in the log, which says what is lost (docs/internals/private-members.md).
 */
import type { Logger } from '../types.ts';
import { memberMoved } from '../base/moved-member.ts';
import { isObject } from '../protocol/jsonrpc.ts';
import { TABLE_NAMES } from './sdk-server.ts';
import { FUNNEL, innerServer, isLowLevel, TOOL_RUNNER } from './server-shape.ts';

interface Member {
  readonly name: string;
  /** `tools`: of an `McpServer`. */
  readonly of: 'server' | 'tools';
  /** The major version that has it. Absent: both. */
  readonly since?: 1 | 2;
  readonly lost: string;
}

const PLACES = 'a cancelled call gives its place in the limits back before its handler has ended';
const TIME = 'requests take more CPU time';

const MEMBERS: readonly Member[] = [
  { name: '_onrequest', of: 'server', lost: TIME },
  { name: '_onnotification', of: 'server', lost: TIME },
  { name: TABLE_NAMES.requests, of: 'server', lost: PLACES },
  { name: TABLE_NAMES.notifications, of: 'server', lost: PLACES },
  { name: '_responseHandlers', of: 'server', since: 1, lost: 'questions that were not sent wait for their time limit' },
  { name: FUNNEL, of: 'server', since: 2, lost: 'late notifications of a handler may reject' },
  { name: '_registeredTools', of: 'tools', since: 2, lost: 'tools/list converts every schema again' },
  { name: TOOL_RUNNER, of: 'tools', since: 2, lost: 'onerror does not get what a tool throws' },
];

const seen = new WeakSet<object>();

/** Looks at each class of servers once. */
export function warnOfMoved(made: unknown, logger: Logger): void {
  if (!isObject(made)) return;
  const { constructor } = made;
  if (typeof constructor !== 'function' || seen.has(constructor)) return;
  const inner = innerServer(made);
  if (!isLowLevel(inner)) return;
  seen.add(constructor);
  // Something that only looks like a server, such as that of a session behind one connection (`gateway.ts`).
  if (!MEMBERS.some(({ name }) => name in inner)) return;
  const major = 'getNegotiatedProtocolVersion' in inner ? 2 : 1;
  for (const { name, of, since = major, lost } of MEMBERS) {
    if (since !== major || (of === 'tools' && inner === made)) continue;
    if (name in (of === 'tools' ? made : inner)) continue;
    memberMoved(logger, 'the MCP SDK', name, lost);
  }
}
