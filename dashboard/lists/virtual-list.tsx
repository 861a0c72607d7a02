/**
 * A list of any length of which only the rows in sight are in the document. Rows keep their elements while the list is
 * scrolled: a row at place `k` uses slot `k % slots`.
 */
import { signal } from '@preact/signals';
import type { ComponentChildren, TargetedKeyboardEvent } from 'preact';
import { useLayoutEffect, useMemo, useRef } from 'preact/hooks';

const TALL = 30;
const TALL_NARROW = 60;
const HEAD = 34;
/** Rows beyond each edge: they are there before they are scrolled to. */
const SPARE = 6;

interface VirtualListProps<T> {
  readonly label: string;
  readonly items: readonly T[];
  /** When it changes, the list begins at its top again. */
  readonly listed: unknown;
  readonly columns: number;
  readonly head: ComponentChildren;
  readonly row: (item: T) => ComponentChildren;
  readonly empty: ComponentChildren;
  readonly open: (item: T) => void;
}

const narrow = matchMedia('(max-width: 640px)');

function view() {
  return { top: signal(0), height: signal(600), active: signal(0), tall: signal(narrow.matches ? TALL_NARROW : TALL) };
}

interface SlotProps<T> extends Pick<VirtualListProps<T>, 'row' | 'open'> {
  readonly item: T;
  readonly place: number;
  readonly tall: number;
  readonly isActive: boolean;
}

function Slot<T>({ item, place, tall, isActive, row, open }: SlotProps<T>) {
  return (
    <div
      role="row"
      id={`row-${place}`}
      class={isActive ? 'vrow on' : 'vrow'}
      aria-rowindex={place + 2}
      aria-selected={isActive}
      style={{ top: `${place * tall}px` }}
      onClick={() => open(item)}
    >
      {row(item)}
    </div>
  );
}

/** The place that a key moves to. */
function moved(key: string, from: number, page: number, last: number): number | undefined {
  const steps: Record<string, number> = {
    ArrowDown: from + 1,
    j: from + 1,
    ArrowUp: from - 1,
    k: from - 1,
    PageDown: from + page,
    PageUp: from - page,
    Home: 0,
    End: last,
  };
  const to = Object.hasOwn(steps, key) ? steps[key] : undefined;
  return to === undefined ? undefined : Math.max(0, Math.min(last, to));
}

export function VirtualList<T>(props: VirtualListProps<T>) {
  const { label, items, listed, columns, head, row, empty, open } = props;
  const list = useRef<HTMLDivElement>(null);
  const { top, height, active, tall } = useMemo(view, []);
  useLayoutEffect(() => {
    const element = list.current;
    if (element === null) return;
    const observer = new ResizeObserver(() => {
      height.value = element.clientHeight;
      tall.value = narrow.matches ? TALL_NARROW : TALL;
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  useLayoutEffect(() => {
    active.value = 0;
    if (list.current !== null) list.current.scrollTop = 0;
  }, [listed]);
  const size = tall.value;
  const inSight = Math.ceil(height.value / size);
  const slots = inSight + SPARE * 2;
  const from = Math.max(0, Math.min(top.value - SPARE, items.length - slots));
  const shown = items.slice(from, from + slots);
  const onKeyDown = (event: TargetedKeyboardEvent<HTMLDivElement>) => {
    const element = event.currentTarget;
    if (event.target !== element) return;
    const item = items[active.value];
    if (event.key === 'Enter' && item !== undefined) open(item);
    const to = moved(event.key, active.value, inSight - 2, items.length - 1);
    if (to === undefined || items.length === 0) return;
    event.preventDefault();
    active.value = to;
    const y = to * size;
    element.scrollTop = Math.min(y, Math.max(element.scrollTop, y - (element.clientHeight - size - HEAD)));
  };
  const isSeen = active.value >= from && active.value < from + shown.length;
  const bySlot = shown
    .map((item, k) => ({ item, place: from + k }))
    .sort((a, b) => (a.place % slots) - (b.place % slots));
  return (
    <div
      ref={list}
      class="vlist"
      role="grid"
      tabindex={0}
      aria-label={label}
      aria-rowcount={items.length + 1}
      aria-colcount={columns}
      aria-activedescendant={isSeen ? `row-${active.value}` : undefined}
      onScroll={(event) => (top.value = Math.floor(event.currentTarget.scrollTop / size))}
      onKeyDown={onKeyDown}
    >
      {head}
      <div class="vbody" role="rowgroup" style={{ height: `${items.length * size || 120}px` }}>
        {bySlot.map(({ item, place }) => (
          <Slot
            key={place % slots}
            item={item}
            place={place}
            tall={size}
            isActive={place === active.value}
            row={row}
            open={open}
          />
        ))}
        {items.length === 0 && empty}
      </div>
    </div>
  );
}
