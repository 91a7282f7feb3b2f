/** What is known of one row. */
export interface RowState {
  readonly id: string
  readonly account: string
  /** What its credentials hold. */
  readonly token: string
  readonly isActive: boolean
  readonly isDefault: boolean
}

/** A committed change of a user's rows. */
export interface RowChange {
  /** By `machineMs`: it was not committed before this. */
  readonly sentAt: number
  /** It was committed before this. */
  readonly committedAt: number
  /** All the rows that the user has from then on. */
  readonly rows: readonly RowState[]
  /** The ids of those of which something else may be seen from then on; removed ones too. */
  readonly turned: readonly string[]
}

/** Rows, and the longest time that they may have been what the user has: both ends may have come later or sooner. */
export interface Span {
  readonly from: number
  readonly until: number
  readonly rows: readonly RowState[]
}

/** What the rows of each user were, and when. */
export class ClusterHistory {
  readonly #changes = new Map<string, RowChange[]>()

  record(userId: string, change: RowChange): void {
    this.changesOf(userId).push(change)
  }

  /** The earliest first. */
  changesOf(userId: string): RowChange[] {
    const known = this.#changes.get(userId)
    if (known !== undefined) return known
    const none: RowChange[] = []
    this.#changes.set(userId, none)
    return none
  }

  rowsOf(userId: string): readonly RowState[] {
    return this.changesOf(userId).at(-1)?.rows ?? []
  }

  /** What the user's rows were at some moment between these two, the latest last. */
  spansOf(userId: string, from: number, until: number): Span[] {
    const changes = this.changesOf(userId)
    const first: Span = { from: -Infinity, until: changes[0]?.committedAt ?? Infinity, rows: [] }
    const spans = changes.map(({ sentAt, rows }, at) => {
      return { from: sentAt, until: changes[at + 1]?.committedAt ?? Infinity, rows }
    })
    return [first, ...spans].filter((span) => span.from <= until && span.until >= from)
  }
}
