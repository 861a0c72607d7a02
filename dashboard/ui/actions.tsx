/** Actions of the server. Each says what it will do before it is done, and asks for the token where that is missing. */
import type { ComponentChildren } from 'preact';
import type { Done, PayloadsOn } from '../../src/dashboard/wire-pages.ts';
import { act, ApiError } from '../net/api.ts';
import { authorization, setToken } from '../net/token.ts';
import { connect, hello } from '../state/model.ts';
import { showDialog } from './dialog.tsx';

interface Action {
  readonly title: string;
  readonly yes: string;
  readonly no?: string;
  readonly danger?: boolean;
  readonly body: () => ComponentChildren;
  readonly path: string;
  readonly done: () => void;
}

/** The server did not take the token for this action: ask for it in the dialog. */
let wantsToken = false;
let given = '';

const TokenField = () => (
  <label class="token">
    Token, for actions
    <input
      class="field"
      type="password"
      autocomplete="off"
      onInput={(event) => (given = event.currentTarget.value)}
      aria-describedby="action-token"
    />
    <span id="action-token" class="sub">
      <code>sojourn serve --dashboard</code> prints it at its start, unless <code>SOJOURN_DASHBOARD_TOKEN</code> sets
      it.
    </span>
  </label>
);

export function confirm(action: Action): void {
  wantsToken = hello.value?.mayAct === false || Object.keys(authorization()).length === 0;
  // An `authorize` of the application may know who looks without a token.
  if (hello.value?.mayAct === true) wantsToken = false;
  given = '';
  const { title, yes, no, danger, body, path, done } = action;
  showDialog({
    title,
    yes,
    no,
    danger,
    body: () => (
      <>
        {body()}
        {wantsToken && <TokenField />}
      </>
    ),
    async run() {
      if (wantsToken && given.trim() === '') throw new Error('This action needs the token.');
      if (wantsToken) setToken(given);
      await act<Done | PayloadsOn>(path).catch((error: unknown) => {
        if (!(error instanceof ApiError) || error.status !== 401) throw error;
        wantsToken = true;
        throw new Error('This is not the token.', { cause: error });
      });
      // The stream says from now on that actions are allowed.
      if (wantsToken) connect();
      done();
    },
  });
}
