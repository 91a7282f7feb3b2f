import { css } from 'lit'

/** Styles of the table of entries. All rows have the same height, because the visible range is computed from it. */
export const gridStyles = css`
  .grid {
    position: relative;
    block-size: 100%;
    overflow: auto;
    overflow-anchor: none;
  }
  .head {
    position: sticky;
    inset-block-start: 0;
    z-index: 1;
    background: var(--_bg);
    color: var(--_muted);
    border-block-end: 1px solid var(--_line);
    font-size: 0.85em;
  }
  .body {
    position: relative;
    contain: layout style;
  }
  .row {
    display: grid;
    grid-template-columns: minmax(0, 1fr) 6rem 12rem 2.75rem;
    align-items: center;
    block-size: var(--_row);
    inline-size: 100%;
    white-space: nowrap;
  }
  .body > .row {
    position: absolute;
    cursor: default;
    user-select: none;
  }
  .row > * {
    display: flex;
    align-items: center;
    gap: 0.5rem;
    block-size: 100%;
    padding-inline: 0.5rem;
    overflow: hidden;
  }
  .row > .size {
    justify-content: flex-end;
    font-variant-numeric: tabular-nums;
  }
  .row > .actions {
    padding-inline: 0.25rem;
  }
  .row bdi {
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: pre;
  }
  .row:hover {
    background: var(--_hover);
  }
  svg.folder,
  svg.drive {
    color: var(--_accent);
  }
  .body .size,
  .body .modified,
  .dim {
    color: var(--_muted);
  }
  .row[aria-selected='true'] {
    background: var(--_chosen);
    color: var(--_fg);
  }
  .row[aria-selected='true'] > * {
    color: var(--_fg);
  }
  .check {
    flex: none;
    inline-size: 1.125rem;
    block-size: 1.125rem;
    border: 1.5px solid var(--_muted);
    border-radius: 0.25rem;
  }
  [aria-selected='true'] .check {
    background: var(--_accent);
    border-color: var(--_accent);
  }
  [aria-selected='true'] .check::after {
    content: '✓';
    display: block;
    color: var(--_on-accent);
    font-size: 0.9rem;
    line-height: 1;
    text-align: center;
  }
  @container (max-inline-size: 44rem) {
    .row {
      grid-template-columns: minmax(0, 1fr) 5.5rem 2.75rem;
    }
    .row > .modified {
      display: none;
    }
  }
  @container (max-inline-size: 26rem) {
    .row {
      grid-template-columns: minmax(0, 1fr) 2.75rem;
    }
    .row > .size {
      display: none;
    }
  }
`
