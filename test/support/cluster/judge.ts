import type { CloudView } from './cloud.ts'
import type { ClusterHistory, RowState, Span } from './history.ts'

/** A response, with its times by `machineMs`. */
export interface JudgedAnswer {
  readonly userId: string
  /** The connection that the request named. */
  readonly connectionId: string | null
  readonly isRefresh: boolean
  readonly arrivedAt: number
  /** A lower bound for the time of its last validity check. */
  readonly lookedAfter: number
  readonly sentAt: number
  readonly status: number
  readonly code: string | null
  /** The listing it showed, or the one that its 304 confirmed. */
  readonly shown: { readonly connectionId: string; readonly view: CloudView } | null
}

export interface Judgement {
  /** Violations of the guarantee; empty if there are none. */
  readonly faults: readonly string[]
  /** How long its listing had been outdated at the last check, in milliseconds. 0 if it was current. */
  readonly oldMs: number
}

/** Rounding error of the clocks, in milliseconds. */
const GRAIN_MS = 2

/** Checks the guarantee: a response reflects all changes committed a lease before its last validity check. */
export class ClusterJudge {
  readonly #history: ClusterHistory
  readonly #leaseMs: number

  constructor(history: ClusterHistory, leaseMs: number) {
    this.#history = history
    this.#leaseMs = leaseMs + GRAIN_MS
  }

  judge(answer: JudgedAnswer): Judgement {
    if (answer.shown === null) return { faults: this.#refusal(answer), oldMs: 0 }
    const { userId, lookedAfter, sentAt, arrivedAt, connectionId, shown } = answer
    const isShown = (row: RowState) =>
      row.isActive &&
      row.id === shown.connectionId &&
      row.account === shown.view.account &&
      row.token === shown.view.token
    const spans = this.#history.spansOf(userId, -Infinity, sentAt).filter(({ rows }) => rows.some(isShown))
    const until = spans.at(-1)?.until ?? -Infinity
    const oldMs = Math.max(0, lookedAfter - until)
    const faults: string[] = []
    if (spans.length === 0) faults.push('it shows what the user never had')
    else if (oldMs > this.#leaseMs) faults.push(`it shows what had been over for ${oldMs.toFixed(1)} ms`)
    if (connectionId !== null && connectionId !== shown.connectionId) faults.push('it is of another connection')
    // The default is chosen when a request arrives, and that connection is checked until the response is sent.
    const isChoice = ({ rows }: Span) => choiceOf(rows)?.id === shown.connectionId
    if (connectionId === null && !this.#around(userId, arrivedAt, sentAt).some(isChoice)) {
      faults.push('it is of a connection that was not the one to choose')
    }
    const asked = shown.view.at
    const turned = this.#history
      .changesOf(userId)
      .filter(({ committedAt, turned: ids }) => {
        return committedAt < lookedAfter - this.#leaseMs && ids.includes(shown.connectionId)
      })
      .at(-1)
    if (turned !== undefined && asked < turned.sentAt) faults.push('its listing is from before the last change')
    if (answer.isRefresh && asked < arrivedAt) faults.push('its listing is from before the refresh')
    return { faults, oldMs }
  }

  /** Returns whether the user's rows did not change around this response, and the requested connection was active. */
  isSteady({ userId, connectionId, arrivedAt, sentAt }: JudgedAnswer): boolean {
    const spans = this.#around(userId, arrivedAt, sentAt)
    const rows = spans[0]?.rows ?? []
    const asked = connectionId === null ? choiceOf(rows) : rows.find(({ id }) => id === connectionId)
    return spans.length === 1 && asked?.isActive === true
  }

  /** Returns the states that may have been considered valid since the request arrived. */
  #around(userId: string, arrivedAt: number, sentAt: number): Span[] {
    return this.#history.spansOf(userId, arrivedAt - this.#leaseMs, sentAt)
  }

  /** A refusal because of the user's rows requires that the rows had that state, or were changing. */
  #refusal({ userId, connectionId, arrivedAt, sentAt, code }: JudgedAnswer): string[] {
    const spans = this.#around(userId, arrivedAt, sentAt)
    const named = ({ rows }: Span) =>
      connectionId === null ? choiceOf(rows) : rows.find(({ id }) => id === connectionId)
    const isSo: Record<string, () => boolean> = {
      CONNECTION_INACTIVE: () => spans.length > 1 || spans.some((span) => named(span)?.isActive !== true),
      CONNECTION_NOT_FOUND: () => connectionId !== null && spans.some((span) => named(span) === undefined),
      CONNECTION_MISSING: () => connectionId === null && spans.some(({ rows }) => rows.length === 0)
    }
    const reason = isSo[code ?? '']
    return reason === undefined || reason() ? [] : [`nothing is a reason for ${code ?? ''}`]
  }
}

function choiceOf(rows: readonly RowState[]): RowState | undefined {
  return rows.length === 1 ? rows[0] : rows.find(({ isDefault }) => isDefault)
}
