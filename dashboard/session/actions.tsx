/** What can be done with one session. */
import type { SessionDetail } from '../../src/dashboard/wire-pages.ts';
import { bytes, many } from '../format.ts';
import { hello } from '../state/model.ts';
import { go } from '../state/route.ts';
import { confirm } from '../ui/actions.tsx';
import { Will, WillLine } from '../ui/dialog.tsx';
import { copy, toast } from '../ui/toast.tsx';

/** It names the variables of the id and the token, not their values. */
function curlOf({ protocolVersion = '2025-11-25' }: SessionDetail): string {
  const url = hello.value?.endpoint ?? new URL('../mcp', document.baseURI).href;
  const lines = [
    `curl -s ${url}`,
    '-H "Mcp-Session-Id: $MCP_SESSION_ID"',
    '-H "Authorization: Bearer $TOKEN"',
    `-H 'MCP-Protocol-Version: ${/^[\d-]+$/.test(protocolVersion) ? protocolVersion : '2025-11-25'}'`,
    "-H 'Content-Type: application/json'",
    "-H 'Accept: application/json, text/event-stream'",
    `-d '{"jsonrpc":"2.0","id":1,"method":"tools/list"}'`,
  ];
  return lines.join(' \\\n  ');
}

export const copyCurl = (detail: SessionDetail): void =>
  void copy(curlOf(detail), 'Copied. It names $MCP_SESSION_ID and $TOKEN, not their values.');

function EndLines({ clientInfo, userName, posts: running = 0, state = {} }: SessionDetail) {
  const sizes = Object.values(state);
  const size = sizes.reduce((sum, one) => sum + one, 0);
  return (
    <Will>
      <WillLine icon="gone">
        Its client,{' '}
        <b>
          {clientInfo?.name ?? 'unknown'} of {userName ?? 'no user'}
        </b>
        , gets 404 with its next request and opens a new session.
      </WillLine>
      {running > 0 && (
        <WillLine icon="refused">
          {many(running, 'running call')} {running === 1 ? 'ends' : 'end'} with the error <code>session_ended</code>.
        </WillLine>
      )}
      <WillLine icon="rest">
        {sizes.length === 0
          ? 'Its record is deleted. It has no session.state.'
          : `session.state is deleted: ${many(sizes.length, 'key')}, ${bytes(size)}.`}
      </WillLine>
      <WillLine icon="lock">This cannot be undone. The log says who did it.</WillLine>
    </Will>
  );
}

export function confirmEnd(detail: SessionDetail): void {
  confirm({
    title: 'End this session?',
    yes: 'End session',
    danger: true,
    body: () => <EndLines {...detail} />,
    path: `sessions/${detail.hash}/end`,
    done: () => {
      go('#/sessions');
      toast('Ended. Its id answers 404.');
    },
  });
}

export function confirmPayloads(detail: SessionDetail, shown: () => void): void {
  const values = hello.value?.payloads === 'values';
  confirm({
    title: 'Show what the messages hold?',
    yes: 'Show for 5 minutes',
    body: () => (
      <Will>
        <WillLine icon="lock">
          {values
            ? 'Arguments and results may be private. They'
            : 'Keys, types and lengths of arguments and results, not their values. They'}{' '}
          stay in the memory of the owner for 5 minutes, and are never stored.
        </WillLine>
        {values && (
          <WillLine icon="done">Values under names such as token, password and authorization are redacted.</WillLine>
        )}
        <WillLine icon="in">Earlier messages cannot be shown: they were not kept.</WillLine>
      </Will>
    ),
    path: `sessions/${detail.hash}/payloads`,
    done: () => {
      toast('Payloads of this session are kept for 5 minutes');
      shown();
    },
  });
}
