/**
 * The lens: 191 ms are three pixels of a minute, so an interruption is drawn again in ms. A short one plays once,
 * slowed; a long one is drawn as it happens. Then it stays.
 */
import { signal } from '@preact/signals';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { StoppedInstance } from '../../src/dashboard/wire.ts';
import { clock, count, many, ms } from '../format.ts';
import { nameOf, now, stops } from '../state/model.ts';
import { Icon } from '../ui/icon.tsx';
import { useWidth } from '../ui/width.ts';
import { Drawn } from './drawn.tsx';
import { lensShapes, mostOf, SLOW_BELOW_MS, SLOWED } from './lens-picture.ts';
import { passed, shortly } from './words.ts';

const CHIPS = 4;
/** An interruption that is older when the page first sees it is not played. */
const PLAYED_MS = 5_000;

/** By id, the interruption that a button chose; a newer one takes its place. */
const chosen = signal<{ readonly id: string; readonly newest: string } | undefined>(undefined);

function shownStop(): StoppedInstance | undefined {
  const [newest] = stops.value;
  const { id, newest: then } = chosen.value ?? {};
  return (then === newest?.id ? stops.value.find((stop) => stop.id === id) : undefined) ?? newest;
}

function titleOf(stop: StoppedInstance): string {
  const { kind, overAt, at, name = 'An instance' } = stop;
  if (kind === 'store')
    return overAt === undefined
      ? 'The store does not answer: calls of this time'
      : `The store was away for ${ms(overAt - at)}: calls of that time`;
  if (overAt === undefined && kind === 'silent') return `${name} does not answer: its calls`;
  if (overAt === undefined && kind === 'drain') return `${name} drains: its calls`;
  return `${name} ${passed(stop)}: the calls that ran there`;
}

const Amount = ({ value, words }: { value: string; words: string }) => (
  <span>
    <b>{value}</b> {words}
  </span>
);

function Tally({ stop }: { stop: StoppedInstance }) {
  const { waited, waiting = 0, longestMs, lost, failed = 0, resumed = 0, calls } = stop;
  const all = waited + waiting + lost + failed;
  return (
    <div class="tally">
      {waiting > 0 && <Amount value={count(waiting)} words={waiting === 1 ? 'waits now' : 'wait now'} />}
      <Amount value={count(waited)} words="waited and went on" />
      {longestMs >= 0.5 && <Amount value={ms(longestMs)} words="the longest" />}
      {resumed > 0 && <Amount value={count(resumed)} words="broken streams resumed" />}
      {lost > 0 && <Amount value={count(lost)} words="may have run: their clients know" />}
      <Amount value={count(failed)} words="other errors" />
      {all > calls.length && calls.length > 0 && <span>{many(calls.length, 'call')} of them are shown</span>}
    </div>
  );
}

const isCalm = (): boolean => matchMedia('(prefers-reduced-motion: reduce)').matches;

/** ms of the interruption that are drawn. `Infinity`: all of it. `run` plays it again. */
function usePlay(stop: StoppedInstance | undefined): { until: number; replay: () => void } {
  const [until, setUntil] = useState(Infinity);
  const frame = useRef(0);
  const replay = () => {
    cancelAnimationFrame(frame.current);
    if (stop === undefined || isCalm()) return setUntil(Infinity);
    const [most, begun] = [mostOf(stop), performance.now()];
    // A long interruption is replayed in ten seconds.
    const speed = most < SLOW_BELOW_MS ? 1 / SLOWED : Math.max(1, most / 10_000);
    const step = () => {
      const past = (performance.now() - begun) * speed;
      setUntil(past > most ? Infinity : past);
      if (past <= most) frame.current = requestAnimationFrame(step);
    };
    step();
  };
  useEffect(() => {
    const isNews = stop !== undefined && now.peek() - stop.at < PLAYED_MS && mostOf(stop) < SLOW_BELOW_MS;
    if (isNews && stop.overAt === undefined && stop.kind !== 'gone') return;
    if (isNews) replay();
    else setUntil(Infinity);
    return () => cancelAnimationFrame(frame.current);
  }, [stop?.id]);
  return { until, replay };
}

function Picture({ stop, until }: { stop: StoppedInstance; until: number }) {
  const { box, width } = useWidth();
  const { calls, waited, longestMs } = stop;
  const { shapes, height } = width === 0 ? { shapes: [], height: 0 } : lensShapes({ stop, width, until, nameOf });
  return (
    <div ref={box}>
      {calls.length > 0 && (
        <svg
          class="lens pic"
          role="img"
          aria-label={`${many(calls.length, 'call')}. ${count(waited)} waited, the longest ${ms(longestMs)}.`}
          viewBox={`0 0 ${width} ${height}`}
          height={height}
        >
          <Drawn shapes={shapes} />
        </svg>
      )}
      {calls.length === 0 && <p class="sub">No call ran there or waited for it.</p>}
    </div>
  );
}

function Shown({ stop }: { stop: StoppedInstance }) {
  const { until, replay } = usePlay(stop);
  const newest = stops.value[0]?.id ?? '';
  return (
    <>
      <div class="lens-head">
        <h2 class="grow" id="lens-title">
          {titleOf(stop)}
        </h2>
        <div class="chips" role="group" aria-label="Interruptions of the last hour">
          {stops.value.slice(0, CHIPS).map((one) => (
            <button
              key={one.id}
              class="chip"
              type="button"
              aria-pressed={one.id === stop.id}
              onClick={() => (chosen.value = { id: one.id, newest })}
            >
              {clock(one.at).slice(0, 5)} {shortly(one)}
            </button>
          ))}
        </div>
        {stop.calls.length > 0 && (
          <button class="btn" type="button" onClick={replay}>
            <Icon name="play" />
            Replay
          </button>
        )}
      </div>
      <Tally stop={stop} />
      <Picture stop={stop} until={until} />
    </>
  );
}

export function Lens() {
  const stop = shownStop();
  return (
    <section aria-labelledby="lens-title">
      {stop === undefined ? (
        <>
          <h2 id="lens-title">Interruptions</h2>
          <p class="sub">
            Nothing was interrupted in the last hour. When an instance stops or the store is away, this shows each call
            that waited.
          </p>
        </>
      ) : (
        <Shown stop={stop} />
      )}
    </section>
  );
}
