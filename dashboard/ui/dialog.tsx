/** One dialog at a time: the confirmation of an action, or facts. Cancel has the focus. */
import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';
import { Icon, type IconName } from './icon.tsx';

interface DialogContent {
  readonly title: string;
  readonly body: () => ComponentChildren;
  readonly wide?: boolean;
  /** The button that closes it. */
  readonly no?: string;
  /** The button of the action. */
  readonly yes?: string;
  readonly danger?: boolean;
  /** Rejects with what the dialog shows as its error; resolves when the dialog may close. */
  readonly run?: () => Promise<void>;
}

interface OpenDialog extends DialogContent {
  readonly opener: Element | null;
}

const open = signal<OpenDialog | undefined>(undefined);
const failure = signal('');
const running = signal(false);

export function showDialog(content: DialogContent): void {
  failure.value = '';
  running.value = false;
  open.value = { ...content, opener: document.activeElement };
}

/** The element knows it at once; its `close` event comes later. */
export const isDialogOpen = (): boolean => document.querySelector('dialog[open]') !== null;

function closed(): void {
  const opener = open.value?.opener;
  open.value = undefined;
  if (opener instanceof HTMLElement || opener instanceof SVGElement) opener.focus();
}

async function run(dialog: OpenDialog): Promise<void> {
  if (running.value) return;
  running.value = true;
  failure.value = '';
  try {
    await dialog.run?.();
    if (open.value === dialog) closed();
  } catch (error) {
    failure.value = error instanceof Error ? error.message : String(error);
  } finally {
    running.value = false;
  }
}

function Box({ dialog }: { dialog: OpenDialog }) {
  const box = useRef<HTMLDialogElement>(null);
  const cancel = useRef<HTMLButtonElement>(null);
  useLayoutEffect(() => {
    box.current?.showModal();
    cancel.current?.focus();
  }, []);
  const { title, body, wide, no = 'Cancel', yes, danger } = dialog;
  return (
    <dialog
      ref={box}
      class={wide === true ? 'wide' : ''}
      aria-labelledby="dialog-title"
      onClose={closed}
      onClick={(event) => event.target === box.current && box.current?.close()}
    >
      <form
        method="dialog"
        onSubmit={(event) => {
          event.preventDefault();
          void run(dialog);
        }}
      >
        <h2 id="dialog-title">{title}</h2>
        {body()}
        <p class="err" role="alert">
          {failure.value !== '' && (
            <>
              <Icon name="gone" /> {failure.value}
            </>
          )}
        </p>
        <div class="actions">
          <button ref={cancel} class="btn" type="button" onClick={() => box.current?.close()}>
            {no}
          </button>
          {yes !== undefined && (
            <button class={danger === true ? 'btn danger' : 'btn'} type="submit" aria-disabled={running.value}>
              {yes}
            </button>
          )}
        </div>
      </form>
    </dialog>
  );
}

export const Dialog = () => {
  const dialog = open.value;
  return dialog === undefined ? null : <Box key={dialog.title} dialog={dialog} />;
};

/** What an action does, line by line, before it is done. */
export const Will = ({ children }: { children: ComponentChildren }) => <ul class="will">{children}</ul>;

export const WillLine = ({ icon, children }: { icon: IconName; children: ComponentChildren }) => (
  <li>
    <Icon name={icon} />
    <span>{children}</span>
  </li>
);
