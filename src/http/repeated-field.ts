/**
 * `Host` and `Authorization` say for whom a request is and from whom. Of two such fields Node.js keeps the first, other
 * servers keep the last, and `Headers` joins both. So a proxy may check one field and sojourn another.
 */
import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import { repeatedField, type SojournError, tooManyFields } from '../errors.ts';
import type { CallerRequest } from './caller-request.ts';
import { serverOf } from './host-servers.ts';

/** Two credentials in one field. Parameters, as those of `Digest`, are no credentials. */
const TWO_CREDENTIALS = /^[\w-]+ +[\w.~+/-]+=*[ \t]*,/;

/** `rawHeaders`: names and values in turn, as Node.js has them. */
function repeatedIn(rawHeaders: readonly string[]): string | undefined {
  let hosts = 0;
  let credentials = 0;
  // Most names have another length, which is compared without a copy of the name.
  for (let n = 0; n < rawHeaders.length; n += 2) {
    const name = rawHeaders[n] ?? '';
    if ((name.length === 4 && name.toLowerCase() === 'host') || name === ':authority') hosts += 1;
    else if (name.length === 13 && name.toLowerCase() === 'authorization')
      credentials += TWO_CREDENTIALS.test(rawHeaders[n + 1] ?? '') ? 2 : 1;
  }
  return hosts > 1 ? 'Host' : credentials > 1 ? 'Authorization' : undefined;
}

/** What an adapter passes may lack the fields as they came. */
type Incoming = Pick<IncomingMessage | Http2ServerRequest, 'httpVersionMajor' | 'socket'> & {
  readonly rawHeaders?: readonly string[];
};

/** Node.js keeps this many fields of a request, unless its server has a `maxHeadersCount`. */
const MOST_KEPT = 1_000;

/** Node.js may have left out fields, a second `Authorization` for example: it says nothing about it. HTTP/2 refuses. */
function mayLackFields({ rawHeaders, httpVersionMajor, socket }: Incoming): boolean {
  const most = serverOf(socket)?.maxHeadersCount ?? MOST_KEPT;
  return most > 0 && (rawHeaders?.length ?? 0) >= 2 * most && !(httpVersionMajor > 1);
}

/** Why the fields of a request are refused. `incoming`: Node's request, where it is known. */
export function refusedFields(request: CallerRequest, incoming: Incoming | undefined): SojournError | undefined {
  if (incoming !== undefined && mayLackFields(incoming)) return tooManyFields();
  const repeated = repeatedIn(incoming?.rawHeaders ?? []) ?? joinedIn(request);
  return repeated === undefined ? undefined : repeatedField(repeated);
}

/** The repeated field where a `Headers` has joined both. */
function joinedIn(request: CallerRequest): string | undefined {
  if (request.header('host')?.includes(',') === true) return 'Host';
  return TWO_CREDENTIALS.test(request.header('authorization') ?? '') ? 'Authorization' : undefined;
}
