/**
 * Bus events to the live sessions of this instance: `list_changed` where their server announces it, `resources/updated`
 * where the client subscribed. In slices, because writing to thousands of streams in one turn would delay all other
 * requests.
 */
import type { ServerEvent } from '@modelcontextprotocol/server';
import { afterTurn } from '../base/system.ts';
import type { RpcNotification } from '../base/protocol/jsonrpc.ts';
import { LIST_CHANGED } from '../base/protocol/list-changed.ts';
import { listChangesOf } from './record/server-answer.ts';
import type { LiveSession } from './session.ts';

const SLICE = 200;

export function broadcast(sessions: readonly LiveSession[], event: ServerEvent): void {
  const message = notificationOf(event);
  const next = (from: number): void => {
    for (const session of sessions.slice(from, from + SLICE)) {
      if (session.left) continue;
      // The hints of a tool may have changed, so its calls may not run twice until the list is read again.
      if (event.kind === 'tools_list_changed') session.markers?.forget();
      if (wants(session, event, message.method)) session.push(message);
    }
    if (from + SLICE < sessions.length) afterTurn(() => next(from + SLICE));
  };
  next(0);
}

/** The messages that this session gets about these events. */
export function messagesTo(session: LiveSession, events: readonly ServerEvent[]): string[] {
  return events.flatMap((event) => {
    const message = notificationOf(event);
    return wants(session, event, message.method) ? JSON.stringify(message) : [];
  });
}

/** An event as its clients get it. */
export function notificationOf(event: ServerEvent): RpcNotification {
  if (event.kind === 'resource_updated') {
    return {
      jsonrpc: '2.0',
      method: 'notifications/resources/updated',
      params: { ...event.params, uri: event.uri },
    };
  }
  return {
    jsonrpc: '2.0',
    method: LIST_CHANGED[event.kind],
    ...(event.params && { params: event.params }),
  };
}

function wants(session: LiveSession, event: ServerEvent, method: string): boolean {
  if (event.kind === 'resource_updated') return session.record.isSubscribed(event.uri);
  return listChangesOf(session.record.head.answer).includes(method);
}
