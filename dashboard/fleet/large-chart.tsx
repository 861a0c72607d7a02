/** The last hour of one figure, by uPlot. It is loaded with the first chart that is opened. */
import type uPlot from 'uplot';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { HourBin } from '../../src/dashboard/wire.ts';
import { clock } from '../format.ts';
import { hour, stops } from '../state/model.ts';
import { theme } from '../state/settings.ts';

const TALL = 200;

interface ChartProps {
  readonly of: Exclude<keyof HourBin, 'at'>;
  readonly show: (value: number | undefined) => string;
}

type Data = [number[], (number | null)[]];

const dataOf = (key: ChartProps['of']): Data => [
  hour.value.map(({ at }) => at / 1000),
  hour.value.map((bin) => bin[key] ?? null),
];

/** Colours of the style sheet, as the canvas needs them. */
function colours(element: Element) {
  const probe = document.createElement('span');
  element.append(probe);
  const read = (name: string): string => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const all = { text: read('text-3'), line: read('line'), curve: read('text'), mark: read('bad') };
  probe.remove();
  return all;
}

function optionsOf(box: HTMLElement, { show }: ChartProps): uPlot.Options {
  const { text, line, curve, mark } = colours(box);
  const axis: uPlot.Axis = {
    stroke: text,
    grid: { stroke: line, width: 1 },
    ticks: { stroke: line, width: 1 },
    font: '11px system-ui, sans-serif',
  };
  return {
    width: box.clientWidth,
    height: TALL,
    legend: { live: true },
    cursor: { y: false },
    scales: { y: { range: (_plot, _min, max) => [0, Math.max(max, 0.001) * 1.15] } },
    series: [
      { label: 'Time', value: (_plot, at) => (at === null ? '–' : clock(at * 1000)) },
      {
        label: 'Value',
        stroke: curve,
        width: 1.5,
        points: { show: false },
        value: (_plot, value) => show(value ?? undefined),
      },
    ],
    axes: [
      { ...axis, values: (_plot, times) => times.map((at) => clock(at * 1000).slice(0, 5)), space: 70 },
      { ...axis, values: (_plot, values) => values.map((value) => show(value)), size: 64 },
    ],
    hooks: {
      drawAxes: [
        ({ ctx, bbox, valToPos }) => {
          ctx.save();
          ctx.strokeStyle = mark;
          ctx.setLineDash([4, 4]);
          for (const { at } of stops.peek()) {
            const x = valToPos(at / 1000, 'x', true);
            if (x < bbox.left) continue;
            ctx.beginPath();
            ctx.moveTo(x, bbox.top);
            ctx.lineTo(x, bbox.top + bbox.height);
            ctx.stroke();
          }
          ctx.restore();
        },
      ],
    },
  };
}

export function LargeChart(props: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const [failed, fail] = useState(false);
  const data = dataOf(props.of);
  const chart = useRef<uPlot | undefined>(undefined);
  useEffect(() => {
    let isOpen = true;
    void import('uplot').then(
      ({ default: Plot }) => {
        if (isOpen && box.current !== null)
          chart.current = new Plot(optionsOf(box.current, props), dataOf(props.of), box.current);
      },
      () => fail(true),
    );
    return () => {
      isOpen = false;
      chart.current?.destroy();
    };
  }, [theme.value]);
  useEffect(() => chart.current?.setData(data), [data[0].at(-1)]);
  const last = hour.value.at(-1);
  return (
    <div class="large">
      <p class="dim">
        Means of 30 s over all instances{stops.value.length > 0 ? '; dashed: interruptions' : ''}.
        {last === undefined && ' Nothing is kept yet: the first value comes within 30 s.'}
        {failed && ' The chart could not be loaded.'}
      </p>
      <div ref={box} role="img" aria-label={`Last value ${props.show(last?.[props.of])}`} />
    </div>
  );
}
