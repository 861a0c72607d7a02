/** What a picture is made of. Classes decide the looks: see `.pic` in `style.css`. */

export type Shape =
  | { readonly kind: 'path'; readonly class: string; readonly d: string; readonly width?: number }
  | {
      readonly kind: 'text';
      readonly class: string;
      readonly x: number;
      readonly y: number;
      readonly text: string;
      readonly anchor: Anchor;
    }
  | { readonly kind: 'dot'; readonly class: string; readonly x: number; readonly y: number; readonly r: number };

export type Anchor = 'start' | 'middle' | 'end';

/** Path data: numbers get one decimal. */
export function d(parts: TemplateStringsArray, ...values: (number | string)[]): string {
  return parts.reduce((path, part, k) => {
    const value = values[k];
    return (
      path + part + (value === undefined ? '' : typeof value === 'number' ? String(Number(value.toFixed(1))) : value)
    );
  }, '');
}

type Point = readonly [x: number, y: number];

export const along = (points: readonly Point[]): string => points.map(([x, y]) => d`${x} ${y}`).join('L');

/** An area between two edges that share their x. */
export function area(points: readonly (readonly [x: number, above: number, below: number])[]): string {
  const above = along(points.map(([x, y]) => [x, y]));
  const below = along(points.map(([x, , y]) => [x, y] as const).reverse());
  return `M${above}L${below}Z`;
}

export class Picture {
  readonly shapes: Shape[] = [];

  path(name: string, path: string, width?: number): void {
    this.shapes.push({ kind: 'path', class: name, d: path, ...(width !== undefined && { width }) });
  }

  write(x: number, y: number, text: string, name = '', anchor: Anchor = 'start'): void {
    this.shapes.push({ kind: 'text', class: name, x, y, text, anchor });
  }

  dot(name: string, x: number, y: number, r: number): void {
    this.shapes.push({ kind: 'dot', class: name, x, y, r });
  }
}
