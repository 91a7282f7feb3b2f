import type { CloudSnapshot } from './cloud.ts'
import type { ClusterHistory, RowState, RowSpan } from './history.ts'

/** A response, with its times by `monotonicMs`. */
export interface CheckedResponse {
  readonly userId: string
  /** The connection that the request named. */
  readonly connectionId: string | null
  readonly isRefresh: boolean
  readonly arrivedAt: number
  /** A lower bound for the time of its last validity check. */
  readonly lastCheckedAfter: number
  readonly sentAt: number
  readonly status: number
  readonly code: string | null
  /** The listing it showed, or the one that its 304 confirmed. */
  readonly listing: { readonly connectionId: string; readonly view: CloudSnapshot } | null
}

export interface CheckResult {
  /** Violations of the guarantee; empty if there are none. */
  readonly violations: readonly string[]
  /** How long its listing had been outdated at the last check, in milliseconds. 0 if it was current. */
  readonly staleMs: number
}

/** Rounding error of the clocks, in milliseconds. */
const CLOCK_ERROR_MS = 2

/** Checks the guarantee: a response reflects all changes committed a lease before its last validity check. */
export class ConsistencyChecker {
  readonly #history: ClusterHistory
  readonly #leaseMs: number

  constructor(history: ClusterHistory, leaseMs: number) {
    this.#history = history
    this.#leaseMs = leaseMs + CLOCK_ERROR_MS
  }

  check(response: CheckedResponse): CheckResult {
    if (response.listing === null) return { violations: this.#checkError(response), staleMs: 0 }
    const { userId, lastCheckedAfter, sentAt, arrivedAt, connectionId, listing } = response
    const isListed = (row: RowState) =>
      row.isActive &&
      row.id === listing.connectionId &&
      row.account === listing.view.account &&
      row.token === listing.view.token
    const spans = this.#history.spansOf(userId, -Infinity, sentAt).filter(({ rows }) => rows.some(isListed))
    const until = spans.at(-1)?.until ?? -Infinity
    const staleMs = Math.max(0, lastCheckedAfter - until)
    const violations: string[] = []
    if (spans.length === 0) violations.push('it shows what the user never had')
    else if (staleMs > this.#leaseMs) violations.push(`it shows what had been over for ${staleMs.toFixed(1)} ms`)
    if (connectionId !== null && connectionId !== listing.connectionId) violations.push('it is of another connection')
    // The default is chosen when a request arrives, and that connection is checked until the response is sent.
    const isDefaultListed = ({ rows }: RowSpan) => defaultOf(rows)?.id === listing.connectionId
    if (connectionId === null && !this.#statesAround(userId, arrivedAt, sentAt).some(isDefaultListed)) {
      violations.push('it is of a connection that was not the one to choose')
    }
    const listedAt = listing.view.at
    const lastChange = this.#history
      .changesOf(userId)
      .filter(({ committedAt, changedIds: ids, undoneAt = Infinity }) => {
        const isInEffect = committedAt < lastCheckedAfter - this.#leaseMs && sentAt < undoneAt
        return isInEffect && ids.includes(listing.connectionId)
      })
      .at(-1)
    if (lastChange !== undefined && listedAt < lastChange.sentAt)
      violations.push('its listing is from before the last change')
    if (response.isRefresh && listedAt < arrivedAt) violations.push('its listing is from before the refresh')
    return { violations, staleMs }
  }

  /** Returns whether the user's rows did not change around this response, and the requested connection was active. */
  isSteady({ userId, connectionId, arrivedAt, sentAt }: CheckedResponse): boolean {
    const spans = this.#statesAround(userId, arrivedAt, sentAt)
    const rows = spans[0]?.rows ?? []
    const requested = connectionId === null ? defaultOf(rows) : rows.find(({ id }) => id === connectionId)
    return spans.length === 1 && requested?.isActive === true
  }

  /** Returns the states that may have been considered valid since the request arrived. */
  #statesAround(userId: string, arrivedAt: number, sentAt: number): RowSpan[] {
    return this.#history.spansOf(userId, arrivedAt - this.#leaseMs, sentAt)
  }

  /** A refusal because of the user's rows requires that the rows had that state, or were changing. */
  #checkError({ userId, connectionId, arrivedAt, sentAt, code }: CheckedResponse): string[] {
    const spans = this.#statesAround(userId, arrivedAt, sentAt)
    const requestedRow = ({ rows }: RowSpan) =>
      connectionId === null ? defaultOf(rows) : rows.find(({ id }) => id === connectionId)
    const conditions: Record<string, () => boolean> = {
      CONNECTION_INACTIVE: () => spans.length > 1 || spans.some((span) => requestedRow(span)?.isActive !== true),
      CONNECTION_NOT_FOUND: () => connectionId !== null && spans.some((span) => requestedRow(span) === undefined),
      CONNECTION_MISSING: () => connectionId === null && spans.some(({ rows }) => rows.length === 0)
    }
    const condition = conditions[code ?? '']
    return condition === undefined || condition() ? [] : [`nothing is a reason for ${code ?? ''}`]
  }
}

function defaultOf(rows: readonly RowState[]): RowState | undefined {
  return rows.length === 1 ? rows[0] : rows.find(({ isDefault }) => isDefault)
}
