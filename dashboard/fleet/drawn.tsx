/** Shapes as elements of an SVG. */
import type { Shape } from './shapes.ts';

const round = (value: number): number => Number(value.toFixed(1));

export function Drawn({ shapes }: { shapes: readonly Shape[] }) {
  return (
    <>
      {shapes.map((shape, k) => {
        switch (shape.kind) {
          case 'path':
            return <path key={k} class={shape.class} d={shape.d} stroke-width={shape.width} />;
          case 'text':
            return (
              <text key={k} class={shape.class} x={round(shape.x)} y={round(shape.y)} text-anchor={shape.anchor}>
                {shape.text}
              </text>
            );
          case 'dot':
            return <circle key={k} class={shape.class} cx={round(shape.x)} cy={round(shape.y)} r={shape.r} />;
        }
      })}
    </>
  );
}
