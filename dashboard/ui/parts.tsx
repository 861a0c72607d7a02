/** Small parts that several views have. */
import type { ComponentChildren } from 'preact';
import { useId, useRef } from 'preact/hooks';
import { Icon } from './icon.tsx';
import { copy } from './toast.tsx';

/** A text to copy. */
export const Code = ({ text }: { text: string }) => (
  <div class="code">
    <code>{text}</code>
    <button class="btn" type="button" aria-label={`Copy ${text.slice(0, 60)}`} onClick={() => void copy(text)}>
      Copy
    </button>
  </div>
);

export const Fact = ({ name, children }: { name: string; children: ComponentChildren }) => (
  <>
    <dt>{name}</dt>
    <dd>{children}</dd>
  </>
);

interface Segment<Key> {
  readonly key: Key;
  readonly label: string;
}

/** One of a few: buttons side by side. */
export function Segments<Key extends string>(props: {
  label: string;
  on: Key;
  items: readonly Segment<Key>[];
  choose: (key: Key) => void;
}) {
  return (
    <div class="seg" role="group" aria-label={props.label}>
      {props.items.map(({ key, label }) => (
        <button key={key} type="button" aria-pressed={key === props.on} onClick={() => props.choose(key)}>
          {label}
        </button>
      ))}
    </div>
  );
}

interface MenuItem {
  readonly label: string;
  readonly run: () => void;
}

/** A button with a popover of actions; the browser closes it with Escape or a click elsewhere. */
export function Menu({ label, items }: { label: string; items: readonly MenuItem[] }) {
  const id = `menu-${useId()}`;
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const place = () => {
    if (box.current === null || button.current === null) return;
    const { bottom, right } = button.current.getBoundingClientRect();
    const { style, offsetHeight, offsetWidth } = box.current;
    style.setProperty('top', `${Math.min(bottom + 4, innerHeight - offsetHeight - 8)}px`);
    style.setProperty('left', `${Math.max(8, right - offsetWidth)}px`);
  };
  return (
    <>
      <button ref={button} class="btn quiet icon" type="button" popovertarget={id}>
        <Icon name="more" />
        <span class="sr">{label}</span>
      </button>
      <div ref={box} class="menu" id={id} popover="auto" onToggle={place}>
        {items.map((item) => (
          <button
            key={item.label}
            type="button"
            onClick={() => {
              box.current?.hidePopover();
              item.run();
            }}
          >
            {item.label}
          </button>
        ))}
      </div>
    </>
  );
}
