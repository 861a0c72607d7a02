/** A message that goes by itself, for what the page does not show elsewhere. */
import { signal } from '@preact/signals';

const SHOWN_MS = 3_500;

const words = signal('');
let timer: ReturnType<typeof setTimeout> | undefined;

export function toast(text: string): void {
  words.value = text;
  clearTimeout(timer);
  timer = setTimeout(() => (words.value = ''), SHOWN_MS);
}

export async function copy(text: string, done = 'Copied'): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toast(done);
  } catch {
    toast('The browser does not allow to copy. Select the text instead.');
  }
}

/** The region is always there: a screen reader reads what is put into it. */
export const Toast = () => <div role="status">{words.value !== '' && <div class="toast">{words.value}</div>}</div>;
