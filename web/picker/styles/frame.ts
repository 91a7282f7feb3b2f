import { css } from 'lit'

/** Logical properties only, so that right-to-left pages mirror the layout. */
export const frameStyles = css`
  :host {
    color-scheme: light dark;
    --_bg: var(--cloud-picker-background, light-dark(#fff, #1b1c20));
    --_fg: var(--cloud-picker-color, light-dark(#1b1c20, #e7e8ec));
    --_muted: var(--cloud-picker-muted, light-dark(#565b67, #a9aeba));
    --_line: var(--cloud-picker-line, light-dark(#d9dce3, #3a3d46));
    --_hover: var(--cloud-picker-hover, light-dark(#f1f3f7, #272a31));
    --_accent: var(--cloud-picker-accent, light-dark(#1a55c0, #8db4ff));
    --_on-accent: var(--cloud-picker-on-accent, light-dark(#fff, #10203c));
    --_chosen: var(--cloud-picker-selected, light-dark(#dce7ff, #233a62));
    --_error: var(--cloud-picker-error, light-dark(#b0241b, #ffb3ab));
    --_row: var(--cloud-picker-row-height, 2.5rem);
    --_radius: var(--cloud-picker-radius, 0.375rem);
    display: block;
    block-size: 30rem;
    min-inline-size: 15rem;
    color: var(--_fg);
    background: var(--_bg);
    border: 1px solid var(--_line);
    border-radius: var(--_radius);
    overflow: hidden;
    font: var(--cloud-picker-font, 0.9375rem/1.4 system-ui, sans-serif);
    container-type: size;
  }
  :host([hidden]) {
    display: none;
  }
  :host([color-scheme='light']) {
    color-scheme: light;
  }
  :host([color-scheme='dark']) {
    color-scheme: dark;
  }
  * {
    box-sizing: border-box;
  }
  .root {
    display: grid;
    grid-template: 100% / 14rem minmax(0, 1fr);
    block-size: 100%;
  }
  .side {
    overflow: auto;
    padding: 0.5rem;
    border-inline-end: 1px solid var(--_line);
  }
  .side ul,
  .crumbs ol,
  .transfers ul {
    list-style: none;
    margin: 0;
    padding: 0;
  }
  .side .provider {
    display: block;
    padding: 0.5rem 0.5rem 0.25rem;
    color: var(--_muted);
    font-size: 0.85em;
  }
  .side button {
    inline-size: 100%;
    justify-content: flex-start;
    text-align: start;
  }
  .side small {
    display: block;
    color: var(--_error);
  }
  [aria-current='page'] {
    font-weight: 600;
  }
  .side [aria-current='page'] {
    background: var(--_chosen);
  }
  .pane {
    display: flex;
    flex-direction: column;
    min-block-size: 0;
    min-inline-size: 0;
  }
  .bar,
  .notice,
  .status {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 0.25rem 0.5rem;
    padding: 0.375rem 0.5rem;
    border-block-end: 1px solid var(--_line);
  }
  .crumbs {
    flex: 1 1 auto;
    max-inline-size: 100%;
  }
  .crumbs ol {
    display: flex;
    overflow: auto hidden;
  }
  .crumbs li {
    display: flex;
    flex: 0 1 auto;
    align-items: center;
    min-inline-size: 2.5rem;
    max-inline-size: 14rem;
  }
  .crumbs li:last-child {
    flex: none;
  }
  .crumbs li + li::before {
    content: '/';
    color: var(--_muted);
  }
  .crumbs bdi,
  .side bdi {
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }
  input[type='search'] {
    flex: 0 1 15rem;
    text-overflow: ellipsis;
  }
  .main {
    position: relative;
    flex: 1;
    min-block-size: 0;
    overflow: hidden;
  }
  .main:focus {
    outline: none;
  }
  .over::after {
    content: attr(data-drop);
    position: absolute;
    inset: 0.25rem;
    display: grid;
    place-items: center;
    background: var(--_bg);
    border: 2px dashed var(--_accent);
    border-radius: var(--_radius);
  }
  .panel {
    display: flex;
    flex-direction: column;
    align-items: flex-start;
    gap: 0.75rem;
    block-size: 100%;
    padding: 1.25rem;
    overflow: auto;
  }
  .panel > * {
    margin: 0;
  }
  .panel .panel {
    block-size: auto;
    padding: 0;
    overflow: visible;
    inline-size: 100%;
  }
  h2 {
    font-size: 1.1em;
  }
  .hint {
    color: var(--_muted);
  }
  .wrong {
    color: var(--_error);
  }
  .hidden {
    position: absolute;
    clip-path: inset(50%);
    inline-size: 1px;
    block-size: 1px;
    overflow: hidden;
  }
  .bones {
    display: grid;
    gap: 0.75rem;
    padding-block-start: 0.25rem;
    inline-size: 100%;
  }
  .bones > * {
    block-size: 1.25rem;
    border-radius: var(--_radius);
    background: var(--_line);
    animation: bones 1.2s ease-in-out infinite alternate;
  }
  .bones > :nth-child(even) {
    inline-size: 70%;
  }
  @keyframes bones {
    to {
      opacity: 0.4;
    }
  }
  .notice,
  .status {
    border-block: 1px solid var(--_line) 0;
  }
  .status {
    min-block-size: 2.75rem;
    color: var(--_muted);
    font-size: 0.9em;
  }
  .status > [role='status'] {
    flex: 1;
    unicode-bidi: plaintext;
  }
  .transfers {
    max-block-size: 10rem;
    overflow: auto;
    border-block-start: 1px solid var(--_line);
    padding: 0.25rem 0.5rem;
  }
  .transfers li {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 0.25rem 0.5rem;
  }
  .transfers bdi {
    flex: 1 1 8rem;
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }
  progress {
    inline-size: 8rem;
    accent-color: var(--_accent);
  }
  @container (max-inline-size: 44rem) {
    .root {
      grid-template: auto minmax(0, 1fr) / 100%;
    }
    .side {
      max-block-size: 7.5rem;
      border-inline-end: 0;
      border-block-end: 1px solid var(--_line);
    }
  }
  @media (prefers-reduced-motion: reduce) {
    .bones > * {
      animation: none;
    }
  }
`
