/** What a definition says to no single client: changed lists, updated resources, and notifications without a client. */
import { isObject } from '../protocol/jsonrpc.ts';
import type { Notices } from '../observe/notices.ts';
import { currentCall } from '../session/calls/call.ts';
import { LIST_CHANGED } from '../protocol/list-changed.ts';
import type { SharedLists } from '../session/calls/shared-lists.ts';
import { afterTurn } from '../base/system.ts';

export type ListChange = keyof typeof LIST_CHANGED;

interface ResourceUpdated {
  readonly kind: 'resource_updated';
  uri: string;
  params?: Record<string, unknown>;
}

/** The endpoint that serves a definition. */
export interface ServingEndpoint {
  readonly notices: Notices;
  /** Told of each change of a list, at once. */
  readonly lists: SharedLists | undefined;
  /** Gets each changed list once per turn of the event loop. */
  readonly bus: { deliver(event: { kind: ListChange }): void; publish(event: ResourceUpdated): void };
}

const RESOURCE_UPDATED = 'notifications/resources/updated';

const KIND_OF_METHOD = new Map(
  Object.entries(LIST_CHANGED).map(([kind, method]): [string, ListChange] => [method, kind as ListChange]),
);

export class Announcements {
  /** `undefined`: no endpoint serves the definition. */
  endpoint: ServingEndpoint | undefined = undefined;
  readonly #changed = new Set<ListChange>();

  /** `false`: the notification is for one client. */
  take(method: string, params: unknown): boolean {
    const change = KIND_OF_METHOD.get(method);
    if (change !== undefined) this.listChanged(change);
    else if (method === RESOURCE_UPDATED) this.resourceUpdated(params);
    else return false;
    return true;
  }

  listChanged(change: ListChange): void {
    currentCall.getStore()?.noticeListChange(LIST_CHANGED[change], this.endpoint?.notices);
    this.endpoint?.lists?.changed(change);
    if (this.#changed.size === 0) afterTurn(() => this.#tell());
    this.#changed.add(change);
  }

  #tell(): void {
    const changes = [...this.#changed];
    this.#changed.clear();
    for (const kind of changes) this.endpoint?.bus.deliver({ kind });
  }

  /** The client whose handler runs need not have subscribed, and others have. */
  resourceUpdated(params: unknown): void {
    const { uri, ...more } = isObject(params) ? params : {};
    if (uri === undefined) return;
    const event: ResourceUpdated = { kind: 'resource_updated', uri: String(uri) };
    if (Object.keys(more).length > 0) event.params = more;
    this.endpoint?.bus.publish(event);
  }

  drop(method: string): void {
    this.endpoint?.notices.emit({ kind: 'dropped', sender: 'shared server', method });
  }
}
