/** The known state of one row. */
export interface RowState {
  readonly id: string
  readonly account: string
  /** The token in its credentials. */
  readonly token: string
  readonly isActive: boolean
  readonly isDefault: boolean
}

/** A committed change of a user's rows. */
export interface RowChange {
  /** The commit happened after this time (`monotonicMs`). */
  readonly sentAt: number
  /** The commit happened before this time. */
  readonly committedAt: number
  /** All rows of the user after the change. */
  readonly rows: readonly RowState[]
  /** The IDs of the rows that look different after the change, removed ones included. */
  readonly changedIds: readonly string[]
  /** When it was lost with the database, which went back to an earlier state. */
  undoneAt?: number
}

/** The longest time for which the rows may have been current. It may have begun later or ended earlier. */
export interface RowSpan {
  readonly from: number
  readonly until: number
  readonly rows: readonly RowState[]
}

/** The rows of each user over time. */
export class ClusterHistory {
  readonly #changes = new Map<string, RowChange[]>()

  record(userId: string, change: RowChange): void {
    this.changesOf(userId).push(change)
  }

  /** Undoes all changes since a time, by `monotonicMs`, with a commit between two others. Returns their number. */
  revert(since: number, { sentAt, committedAt }: Pick<RowChange, 'sentAt' | 'committedAt'>): number {
    let lost = 0
    for (const changes of this.#changes.values()) {
      const undone = changes.filter((change) => change.sentAt > since && change.undoneAt === undefined)
      if (undone[0] === undefined) continue
      const rows = changes[changes.indexOf(undone[0]) - 1]?.rows ?? []
      for (const change of undone) change.undoneAt = sentAt
      changes.push({ sentAt, committedAt, rows, changedIds: [] })
      lost += undone.length
    }
    return lost
  }

  /** Returns the rows of all users with rows. */
  allRows(): readonly RowState[] {
    return [...this.#changes.keys()].flatMap((userId) => this.rowsOf(userId))
  }

  /** In chronological order. */
  changesOf(userId: string): RowChange[] {
    const known = this.#changes.get(userId)
    if (known !== undefined) return known
    const empty: RowChange[] = []
    this.#changes.set(userId, empty)
    return empty
  }

  rowsOf(userId: string): readonly RowState[] {
    return this.changesOf(userId).at(-1)?.rows ?? []
  }

  /** Returns the states of the user's rows between the two times, the latest last. */
  spansOf(userId: string, from: number, until: number): RowSpan[] {
    const changes = this.changesOf(userId)
    const first: RowSpan = { from: -Infinity, until: changes[0]?.committedAt ?? Infinity, rows: [] }
    const spans = changes.map(({ sentAt, rows }, at) => {
      return { from: sentAt, until: changes[at + 1]?.committedAt ?? Infinity, rows }
    })
    return [first, ...spans].filter((span) => span.from <= until && span.until >= from)
  }
}
