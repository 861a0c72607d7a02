/**
 * A request as values, apart from the connection that brought it: it outlives its client, came from a record, or one
 * instance sends it another in the form of `cluster/messages.ts`.
 *
 * An allow-list decides which header fields are sent (`base/options/header-names.ts`), so that no credential leaves the
 * instance that received it. `authInfo` is sent without its token, because handlers may read it.
 */
import type { AuthInfo } from '@modelcontextprotocol/server';
import type { RequestItem } from '../messages.ts';
import { internal } from '../../base/errors.ts';
import type { RunningWork } from '../../http/body.ts';
import { CallerRequest, type HeaderFields, type RelayOrigin } from '../../http/caller-request.ts';
import type { Exchange } from '../../http/exchange.ts';
import type { RpcRequest } from '../../base/protocol/jsonrpc.ts';
import type { Inbound } from '../../session/inbound/inbound.ts';

/** `AuthInfo` requires a token. Handlers on the owner read an empty one. */
const NO_TOKEN = '';

const withoutQuery = (url: string): string => url.split('?', 1)[0] ?? '';

/** The same for a record: the query of an address may have a key in it, and the store keeps no credential. */
export function storedFields(
  ...given: Parameters<typeof sentFields>
): ReturnType<typeof sentFields> {
  const fields = sentFields(...given);
  return {
    ...fields,
    url: withoutQuery(fields.url),
    absoluteUrl: withoutQuery(fields.absoluteUrl),
  };
}

/** `isSent`: whether a field with that lower-case name leaves this instance. */
export function sentFields(
  caller: CallerRequest,
  isSent: (field: string) => boolean,
): Omit<RequestFields, 'user' | 'address'> {
  const headers: Record<string, string | readonly string[]> = {};
  for (const [name, value] of Object.entries(caller.headers)) {
    if (value !== undefined && isSent(name)) headers[name] = value;
  }
  const { method, url, absoluteUrl } = caller;
  return { method, url, absoluteUrl, headers };
}

/** `isRelayed`: whether the owner gets the field with that lower-case name. */
export function sentCall(
  { kind, caller, after, mayHaveRun: runs, attemptId, storedAs, session }: Inbound,
  n: number,
  text: string | undefined,
  isRelayed: (field: string) => boolean,
): RequestItem {
  const { authInfo, userKey: user, clientAddress } = caller;
  return {
    t: 'call',
    n,
    call: kind,
    mayHaveRun: runs !== undefined,
    ...(runs !== undefined && { runs }),
    ...sentFields(caller, isRelayed),
    ...(authInfo !== undefined && { auth: sentAuth(authInfo) }),
    ...(user !== undefined && { user }),
    ...(clientAddress !== undefined && { address: clientAddress }),
    ...(after !== undefined && { after }),
    ...(attemptId !== undefined && { attemptId }),
    ...(storedAs !== undefined && { storedAs }),
    ...(text !== undefined && { text }),
    ...(session !== undefined && { session }),
  };
}

/** @throws INTERNAL where JSON cannot hold it: a link could send neither this call nor those behind it. */
export function sentAuth(authInfo: AuthInfo): AuthInfo {
  const sent = { ...authInfo, token: NO_TOKEN };
  try {
    JSON.stringify(sent);
    return sent;
  } catch (cause) {
    throw internal(
      new Error(
        'authInfo cannot leave this instance: auth.verify put into it what JSON cannot hold',
        { cause },
      ),
    );
  }
}

/** `authInfo` as its verifier returned it: JSON turned its URL into a string, and an `Infinity` into null. */
export function authOf({ auth }: { readonly auth?: AuthInfo | undefined }): AuthInfo | undefined {
  if (auth === undefined) return undefined;
  const { resource, expiresAt } = auth as { resource?: URL | string; expiresAt?: number | null };
  const sent = expiresAt === null ? { ...auth, expiresAt: Infinity } : auth;
  return typeof resource === 'string' ? { ...sent, resource: new URL(resource) } : sent;
}

export interface RequestFields extends Pick<RequestItem, 'method' | 'url' | 'absoluteUrl'> {
  readonly headers: HeaderFields;
  readonly user?: string | undefined;
  readonly address?: string | undefined;
}

/** A request as it was sent, by its client or by an earlier one. */
export interface CallRequest {
  readonly fields: RequestFields;
  readonly authInfo: AuthInfo | undefined;
  readonly request: RpcRequest;
  readonly version: string;
}

/** One whose client sent it to this instance. */
export function callRequestOf(
  exchange: Exchange,
  request: RpcRequest,
  version: string,
): CallRequest {
  const {
    method,
    url,
    absoluteUrl,
    headers,
    userKey: user,
    clientAddress: address,
    authInfo,
  } = exchange;
  return {
    fields: { method, url, absoluteUrl, headers, user, address },
    authInfo,
    request,
    version,
  };
}

/** The call that the request is part of: it knows whether a client still waits. */
export interface RequestLife extends Pick<CallerRequest, 'onClose' | 'fail' | 'heldBy'> {
  readonly isOpen: boolean;
  readonly node?: CallerRequest['node'];
}

export class SentRequest extends CallerRequest {
  readonly absoluteUrl: string;
  readonly relayOrigin: RelayOrigin | undefined;
  readonly #life: RequestLife;

  constructor(
    fields: RequestFields,
    authInfo: AuthInfo | undefined,
    life: RequestLife,
    relayOrigin?: RelayOrigin,
  ) {
    super(fields, authInfo, fields.address, fields.user);
    this.absoluteUrl = fields.absoluteUrl;
    this.relayOrigin = relayOrigin;
    this.#life = life;
  }

  /** What its client would have sent besides. */
  addHeaders(headers: HeaderFields): void {
    this.headers = { ...this.headers, ...headers };
  }
  get node(): CallerRequest['node'] {
    return this.#life.node;
  }
  heldBy(work: RunningWork, own?: number): void {
    this.#life.heldBy(work, own);
  }
  get closed(): boolean {
    return !this.#life.isOpen;
  }
  onClose(fn: () => unknown): void {
    this.#life.onClose(fn);
  }
  fail(cause: unknown): void {
    this.#life.fail(cause);
  }
}
