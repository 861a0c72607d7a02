/** The icons of `index.html`. A state is always an icon and a word. */

export type IconName =
  | 'serving'
  | 'joining'
  | 'draining'
  | 'silent'
  | 'gone'
  | 'rest'
  | 'moved'
  | 'wait'
  | 'out'
  | 'in'
  | 'refused'
  | 'fleet'
  | 'sessions'
  | 'task'
  | 'ask'
  | 'done'
  | 'more'
  | 'right'
  | 'pause'
  | 'play'
  | 'lock';

export const Icon = ({ name }: { name: IconName }) => (
  <svg class="i" aria-hidden="true">
    <use href={`#i-${name}`} />
  </svg>
);
