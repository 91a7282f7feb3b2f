import { css } from 'lit'

/** Styles of buttons and form fields. */
export const controlStyles = css`
  button,
  input,
  select,
  .link {
    font: inherit;
    color: inherit;
    min-block-size: 2rem;
    padding: 0.25rem 0.625rem;
    border: 1px solid var(--_line);
    border-radius: var(--_radius);
    background: transparent;
  }
  input,
  select {
    border-color: var(--_muted);
    min-inline-size: 0;
  }
  button,
  .link {
    display: inline-flex;
    align-items: center;
    justify-content: center;
    gap: 0.375rem;
    max-inline-size: 100%;
    cursor: pointer;
    text-decoration: none;
  }
  button:hover {
    background: var(--_hover);
  }
  button:disabled {
    cursor: default;
    color: var(--_muted);
  }
  .quiet {
    border-color: transparent;
    padding: 0.25rem;
  }
  .side .quiet,
  .crumbs .quiet {
    padding-inline: 0.5rem;
  }
  .main-action,
  .main-action:hover {
    color: var(--_on-accent);
    background: var(--_accent);
    border-color: var(--_accent);
  }
  :focus-visible {
    outline: 2px solid var(--_accent);
    outline-offset: -2px;
  }
  svg {
    flex: none;
    inline-size: 1.25rem;
    block-size: 1.25rem;
    fill: none;
    stroke: currentColor;
    stroke-width: 1.6;
    stroke-linecap: round;
    stroke-linejoin: round;
  }
  .buttons {
    display: flex;
    flex-wrap: wrap;
    gap: 0.5rem;
  }
  .field {
    display: grid;
    gap: 0.125rem;
    inline-size: min(26rem, 100%);
  }
  .field.tick {
    grid-template-columns: auto 1fr;
    align-items: center;
    gap: 0 0.5rem;
  }
  .tick > :nth-child(n + 3) {
    grid-column: 2;
  }
  .tick input {
    min-block-size: 0;
  }
  [aria-invalid='true'] {
    border-color: var(--_error);
  }
`
