/** What a definition says to no single client: changed lists, updated resources, and notifications without a client. */
import type { ServerEvent } from '@modelcontextprotocol/server';
import { isObject } from '../protocol/jsonrpc.ts';
import type { Notices } from '../observe/notices.ts';
import { currentCall } from '../session/calls/call.ts';
import { LIST_CHANGED } from '../protocol/list-changed.ts';
import type { SharedLists } from '../session/calls/shared-lists.ts';
import { afterTurn } from '../base/system.ts';

type ListChange = keyof typeof LIST_CHANGED;

/** The methods of both servers of the SDK that tell of a changed list. */
export const LIST_SENDS = {
  sendToolListChanged: 'tools_list_changed',
  sendPromptListChanged: 'prompts_list_changed',
  sendResourceListChanged: 'resources_list_changed',
} as const satisfies Record<string, ListChange>;

/** The endpoint that serves a definition. */
export interface ServingEndpoint {
  readonly notices: Notices;
  /** Told of each change of a list, at once. */
  readonly lists: SharedLists | undefined;
  /** Delivers each changed list once per turn of the event loop, and publishes each updated resource. */
  readonly bus: { deliver(event: ServerEvent): void; publish(event: ServerEvent): void };
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
  resourceUpdated(said: unknown): void {
    const { uri, ...more } = isObject(said) ? said : {};
    if (uri === undefined) return;
    const params = Object.keys(more).length > 0 && { params: more };
    this.endpoint?.bus.publish({ kind: 'resource_updated', uri: String(uri), ...params });
  }

  drop(method: string): void {
    this.endpoint?.notices.emit({ kind: 'dropped', sender: 'shared server', method });
  }
}
