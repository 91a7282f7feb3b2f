import type { CloudView } from './cluster-cloud.ts'
import type { ClusterHistory, RowState, Span } from './cluster-history.ts'

/** An answer, with its times by `machineMs`. */
export interface JudgedAnswer {
  readonly userId: string
  /** The connection that was named. */
  readonly connectionId: string | null
  readonly isRefresh: boolean
  readonly arrivedAt: number
  /** Its last look at what may be shown was made after this. */
  readonly lookedAfter: number
  readonly sentAt: number
  readonly status: number
  readonly code: string | null
  /** What it showed, or what its 304 said is still so. */
  readonly shown: { readonly connectionId: string; readonly view: CloudView } | null
}

export interface Judgement {
  /** What is wrong with it; none where it keeps what is promised. */
  readonly faults: readonly string[]
  /** How long what it showed had been over at its last look, in milliseconds. 0: it was not. */
  readonly oldMs: number
}

/** What clocks round, in milliseconds. */
const GRAIN_MS = 2

/** Whether answers keep what is promised: they know of each change that was committed a lease before their last look. */
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
    // The choice is made when a request comes, and what was chosen is looked at until it is answered.
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

  /** Whether nothing happened to the user's rows around this answer, and what it asked for was there to see. */
  isSteady({ userId, connectionId, arrivedAt, sentAt }: JudgedAnswer): boolean {
    const spans = this.#around(userId, arrivedAt, sentAt)
    const rows = spans[0]?.rows ?? []
    const asked = connectionId === null ? choiceOf(rows) : rows.find(({ id }) => id === connectionId)
    return spans.length === 1 && asked?.isActive === true
  }

  /** What may have been believed in from its arrival on. */
  #around(userId: string, arrivedAt: number, sentAt: number): Span[] {
    return this.#history.spansOf(userId, arrivedAt - this.#leaseMs, sentAt)
  }

  /** A refusal for what the user's rows are needs rows that were so, or that were changing. */
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
