/** What the elements of the page are made with (`scripts/build.mjs`). */
export { Fragment, h } from 'preact';
