/** The confirmation of an action: it says what will happen before it does. Cancel has the focus. */
import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';
import { act } from './api.ts';
import { refresh } from './state.ts';

interface Action {
  readonly title: string;
  readonly yes: string;
  /** What it will do, line by line. */
  readonly lines: () => readonly ComponentChildren[];
  /** The path of the API. */
  readonly path: string;
  readonly done: () => void;
}

interface OpenAction extends Action {
  readonly opener: Element | null;
}

const open = signal<OpenAction | undefined>(undefined);
const failure = signal('');
const isRunning = signal(false);

export function confirm(action: Action): void {
  failure.value = '';
  open.value = { ...action, opener: document.activeElement };
}

function closed(): void {
  const opener = open.value?.opener;
  open.value = undefined;
  if (opener instanceof HTMLElement) opener.focus();
}

async function run(action: OpenAction): Promise<void> {
  if (isRunning.value) return;
  isRunning.value = true;
  failure.value = '';
  try {
    await act(action.path);
    closed();
    action.done();
    refresh();
  } catch (error) {
    failure.value = error instanceof Error ? error.message : String(error);
  } finally {
    isRunning.value = false;
  }
}

function Box({ action }: { action: OpenAction }) {
  const box = useRef<HTMLDialogElement>(null);
  const cancel = useRef<HTMLButtonElement>(null);
  useLayoutEffect(() => {
    box.current?.showModal();
    cancel.current?.focus();
  }, []);
  return (
    <dialog ref={box} aria-labelledby="dialog-title" onClose={closed}>
      <form
        method="dialog"
        onSubmit={(event) => {
          event.preventDefault();
          void run(action);
        }}
      >
        <h2 id="dialog-title">{action.title}</h2>
        <ul>
          {action.lines().map((line, at) => (
            <li key={at}>{line}</li>
          ))}
        </ul>
        <p class="error" role="alert">
          {failure.value}
        </p>
        <div class="actions">
          <button ref={cancel} type="button" onClick={() => box.current?.close()}>
            Cancel
          </button>
          <button class="danger" type="submit" aria-disabled={isRunning.value}>
            {action.yes}
          </button>
        </div>
      </form>
    </dialog>
  );
}

export const Dialog = () =>
  open.value === undefined ? null : <Box key={open.value.path} action={open.value} />;
