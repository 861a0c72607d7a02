/** The field of a filter. The keyboard goes from it to the list. */

export const FilterField = (props: {
  label: string;
  placeholder: string;
  value: string;
  set: (text: string) => void;
}) => (
  <input
    class="field"
    type="search"
    id="filter"
    value={props.value}
    placeholder={props.placeholder}
    aria-label={props.label}
    autocomplete="off"
    spellcheck={false}
    onInput={(event) => props.set(event.currentTarget.value)}
    onKeyDown={(event) => {
      if (event.key !== 'ArrowDown' && event.key !== 'Enter') return;
      event.preventDefault();
      document.querySelector<HTMLElement>('.vlist')?.focus();
    }}
  />
);
