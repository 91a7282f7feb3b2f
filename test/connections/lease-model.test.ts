import fc from 'fast-check'
import t from 'tap'
import { Leases } from '../../src/connections/leases.ts'
import {
  chooseConnection,
  type Connection,
  type ConnectionNotification,
  type ConnectionSelector,
  requireActive,
  requireFound,
  type SealedConnection
} from '../../src/core/connection.ts'
import type { ChangeLog, ChangePoll, ConnectionChange } from '../../src/core/stores.ts'
import { isStorageError, StorageError } from '../../src/errors.ts'
import { connectionRow } from '../support/database/memory-connections.ts'
import { ManualClock } from '../support/time/clock.ts'
import { Deferred, nextTurn } from '../support/time/deferred.ts'

const LEASE_MS = 1_000
/** Schedules to try. A million take about twenty minutes. */
const SCHEDULES = Number(process.env['LEASE_SCHEDULES'] ?? 4_000)

/** Each stops one of the two clocks. Nothing notices a machine that sleeps while its wall clock is set back. */
const DISTURBANCES = ['suspend', 'setBack'] as const

/** A slow read that finds no default fails with these, and is not repeated: they disclose nothing. */
const HARMLESS = new Set(['DATABASE_UNAVAILABLE', 'CONNECTION_MISSING', 'CONNECTION_AMBIGUOUS'])

/** How often a schedule has each step. */
const WEIGHTS = {
  // Requests
  look: 5,
  select: 3,
  find: 1,
  findSealed: 1,
  confirm: 2,
  // Queries in flight: all but one respond, or one takes its snapshot and then responds.
  respond: 6,
  advance: 8,
  fail: 1,
  // Commits
  renew: 2,
  toggle: 1,
  chooseDefault: 2,
  move: 1,
  insert: 1,
  remove: 1,
  // Notifications; those that are not delivered are lost.
  notify: 1,
  mayHaveMissed: 1,
  // Time
  tick: 5,
  disturbClock: 2,
  // Failures of the database
  replace: 1,
  lose: 1
}

/** Few users, providers and ids, so that schedules collide. */
const USERS = ['ann', 'bob'] as const
const PROVIDERS = ['p', 'q'] as const
const IDS = ['1', '2', '3'] as const

/** All requests there can be. */
const SELECTORS: ConnectionSelector[] = USERS.flatMap((userId) =>
  PROVIDERS.flatMap((provider) => [undefined, ...IDS].map((connectionId) => ({ userId, provider, connectionId })))
)

const step = fc.record({
  do: fc.oneof(
    ...Object.entries(WEIGHTS).map(([name, weight]) => ({
      weight,
      arbitrary: fc.constant(name as keyof typeof WEIGHTS)
    }))
  ),
  userId: fc.constantFrom(...USERS),
  provider: fc.constantFrom('p', ...PROVIDERS),
  id: fc.constantFrom(...IDS),
  /** Of requests: names the connection. */
  isNamed: fc.boolean(),
  /** Of queries and notifications: its place in the list. */
  place: fc.nat({ max: 3 }),
  ms: fc.integer({ min: 1, max: 500 })
})
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

function at(name: Step['do'], fields: Partial<Step> = {}): Step {
  return { do: name, userId: 'ann', provider: 'p', id: '1', isNamed: true, place: 3, ms: 500, ...fields }
}

/** Schedules that are rarely found by chance. */
const EXAMPLES: [(typeof DISTURBANCES)[number], Step[]][] = [
  // The response of a read arrives after that of a poll which names its row.
  [
    'suspend',
    [
      ...[at('select'), at('respond'), at('advance', { place: 0 }), at('renew'), at('tick'), at('look')],
      ...[at('respond', { place: 0 }), at('advance', { place: 0 }), at('tick'), at('look'), at('respond')],
      ...[at('tick', { ms: 1 }), at('look')]
    ]
  ],
  // The row changes after the snapshot of a slow poll.
  [
    'suspend',
    [
      ...[at('select'), at('respond'), at('respond'), at('tick'), at('look'), at('advance', { place: 0 })],
      ...[at('renew'), at('tick'), at('tick', { ms: 100 }), at('advance', { place: 0 }), at('tick'), at('look')]
    ]
  ],
  // A row that was read before the first poll changes before that poll.
  [
    'suspend',
    [
      ...[at('findSealed'), at('advance', { place: 0 }), at('renew'), at('select', { userId: 'bob', id: '3' })],
      ...[at('respond'), at('tick'), at('look'), at('respond'), at('tick'), at('tick', { ms: 1 }), at('look')]
    ]
  ],
  // The log loses the entry of a change, which only the failure of a poll reveals.
  [
    'suspend',
    [
      ...[at('select'), at('respond'), at('respond'), at('renew'), at('lose'), at('tick'), at('look')],
      ...[at('tick', { ms: 100 }), at('look'), at('respond'), at('tick'), at('look')]
    ]
  ]
]

type Rows = ReadonlyMap<string, SealedConnection>

/** A query in flight. Its result is that of the moment of the snapshot, which the response follows later. */
interface OpenQuery {
  snapshot: (() => void) | undefined
  respond: () => void
  fail: () => void
}

/** The connections, their log, and all earlier states of the connections. */
class ModelDatabase {
  /** Milliseconds by a clock that nothing sets or stops. */
  now = 0
  readonly history: { rows: Rows; until: number }[] = []
  rows: Rows = new Map()
  readonly queries: OpenQuery[] = []
  readonly notifications: ConnectionNotification[] = []
  #log: (ConnectionChange & { at: number })[] = []
  #logged = 0
  /** The run of the server process. */
  #run = 0
  #lastVersion = 1
  #isBroken = false

  readonly connections = {
    find: (userId: string, id: string) => this.#query(() => this.#own(userId, id)),
    findSealed: (userId: string, id: string) => this.#query(() => this.#own(userId, id)),
    listSealed: (userId: string, provider: string) => this.#query(() => rowsOf(this.rows, userId, provider))
  }

  readonly changeLog: ChangeLog = {
    poll: (since) => {
      const response = this.#query(() => this.#changesSince(since))
      if (this.#isBroken) this.queries.pop()?.fail()
      this.#isBroken = false
      return response
    },
    prune: () => Promise.resolve()
  }

  /** Commits new and changed rows in one transaction, and the removal of a row. */
  commit(changed: readonly SealedConnection[], removedId?: string): void {
    this.history.push({ rows: this.rows, until: this.now })
    const rows = new Map(this.rows)
    const removed = rows.get(removedId ?? '')
    if (removed !== undefined) {
      rows.delete(removed.id)
      this.#record(removed, true)
    }
    for (const row of changed) {
      const before = rows.get(row.id)
      const isMoved = before !== undefined && (before.userId !== row.userId || before.provider !== row.provider)
      if (isMoved) this.#record(before, true)
      rows.set(row.id, row)
      this.#record(row, false)
    }
    this.rows = rows
  }

  nextVersion(): number {
    return (this.#lastVersion += 1)
  }

  /** Lets a query take its snapshot, or sends its response if it has. */
  advance(place: number): void {
    const query = this.queries[place]
    if (query === undefined) return
    if (query.snapshot !== undefined) query.snapshot()
    else {
      this.queries.splice(place, 1)
      query.respond()
    }
  }

  /** Lets all queries respond but one. */
  respondExcept(place: number): void {
    const slow = this.queries.splice(place, 1)
    for (const query of this.queries.splice(0)) {
      query.snapshot?.()
      query.respond()
    }
    this.queries.push(...slow)
  }

  /** The database is replaced, which the next poll notices. */
  replace(): void {
    this.#run += 1
    this.#log = []
  }

  /** The log loses its entries, which no poll notices. All connections break, those that are not in use as well. */
  lose(): void {
    this.#log = []
    for (const query of this.queries.splice(0)) query.fail()
    this.#isBroken = true
  }

  /** Returns true if a state of the last `ms` milliseconds satisfies `matches`. */
  was(ms: number, matches: (rows: Rows) => boolean): boolean {
    return matches(this.rows) || this.history.some(({ rows, until }) => until >= this.now - ms && matches(rows))
  }

  #own(userId: string, id: string): SealedConnection | null {
    const row = this.rows.get(id)
    return row?.userId === userId ? row : null
  }

  #record({ id, userId, provider, version }: SealedConnection, isRemoved: boolean): void {
    this.#logged += 1
    this.#log.push({ at: this.#logged, id, userId, provider })
    this.notifications.push({ id, userId, provider, version, isRemoved })
  }

  #changesSince(since: string | null): ChangePoll {
    const position = `${String(this.#run)}:${String(this.#logged)}`
    const [run, at] = since?.split(':').map(Number) ?? []
    if (run !== this.#run || at === undefined) return { position, changes: null }
    return { position, changes: this.#log.filter((change) => change.at > at) }
  }

  #query<T>(read: () => T): Promise<T> {
    const response = new Deferred<T>()
    let value: T | undefined
    const query: OpenQuery = {
      snapshot: () => {
        value = read()
        query.snapshot = undefined
      },
      respond: () => {
        response.resolve(value as T)
      },
      fail: () => {
        response.reject(new StorageError('DATABASE_UNAVAILABLE', 'scripted'))
      }
    }
    this.queries.push(query)
    return response.promise
  }
}

function rowsOf(rows: Rows, userId: string, provider: string): SealedConnection[] {
  return [...rows.values()].filter((row) => row.userId === userId && row.provider === provider)
}

function labelOf(connection: Connection | null): string {
  return connection === null ? 'none' : `${connection.id} ${connection.provider} v${String(connection.version)}`
}

/** Returns the correct outcome of `select` in one state of the database: a connection or an error code. */
function selectFrom(rows: Rows, { userId, provider, connectionId }: ConnectionSelector): string {
  try {
    if (connectionId === undefined) return labelOf(requireActive(chooseConnection(rowsOf(rows, userId, provider))))
    return labelOf(requireActive(requireFound(findIn(rows, userId, connectionId), provider)))
  } catch (error) {
    return (error as StorageError).code
  }
}

function findIn(rows: Rows, userId: string, id: string): SealedConnection | null {
  const row = rows.get(id)
  return row?.userId === userId ? row : null
}

/** Runs a schedule. @throws Error that describes the first outdated outcome */
async function run(disturbance: (typeof DISTURBANCES)[number], steps: readonly Step[]): Promise<void> {
  const clock = new ManualClock()
  const database = new ModelDatabase()
  const { connections, changeLog } = database
  const leases = new Leases({ connections, changeLog, leaseMs: LEASE_MS, clock, maxUsers: 2 })
  const violations: string[] = []

  const check = (call: string, outcome: string, maxAgeMs: number, outcomeIn: (rows: Rows) => string): void => {
    if (HARMLESS.has(outcome) || database.was(maxAgeMs, (rows) => outcomeIn(rows) === outcome)) return
    violations.push(`${call} gave ${outcome}, which was outdated for more than ${String(maxAgeMs)} ms`)
  }
  const watch = (
    call: string,
    result: Promise<string>,
    outcomeIn: (rows: Rows) => string,
    maxAgeMs = LEASE_MS
  ): void => {
    const onOutcome = (outcome: string): void => {
      check(call, outcome, maxAgeMs, outcomeIn)
    }
    result.then(onOutcome, (error: unknown) => {
      onOutcome(isStorageError(error) ? error.code : String(error))
    })
  }
  const change = (id: string, changes: (row: SealedConnection) => Partial<SealedConnection>): void => {
    const row = database.rows.get(id)
    if (row !== undefined) database.commit([{ ...row, version: database.nextVersion(), ...changes(row) }])
  }
  const insert = (id: string, userId: string, provider: string, isDefault = false): void => {
    if (database.rows.has(id)) return
    database.commit([connectionRow({ id, userId, provider, isDefault, version: database.nextVersion() })])
  }

  const actions: Record<keyof typeof WEIGHTS, (step: Step) => void> = {
    look: () => {
      for (const selector of SELECTORS) {
        const leased = leases.findLeased(selector)
        if (leased !== undefined) check('findLeased', labelOf(leased), LEASE_MS, (rows) => selectFrom(rows, selector))
      }
    },
    select: ({ userId, provider, id, isNamed }) => {
      const selector = { userId, provider, connectionId: isNamed ? id : undefined }
      watch('select', leases.select(selector).then(labelOf), (rows) => selectFrom(rows, selector))
    },
    find: ({ userId, id }) => {
      watch('find', leases.find(userId, id).then(labelOf), (rows) => labelOf(findIn(rows, userId, id)))
    },
    findSealed: ({ userId, id }) => {
      // Not limited in time: it is a read that begins now.
      leases.findSealed(userId, id).catch(() => {})
    },
    confirm: ({ userId, id, isNamed }) => {
      const maxAgeMs = isNamed ? LEASE_MS : LEASE_MS / 2
      const confirmed = leases.confirm({ userId, id, accountId: 'account' }, maxAgeMs).then(() => 'ACTIVE')
      const outcomeIn = (rows: Rows): string =>
        findIn(rows, userId, id)?.status === 'ACTIVE' ? 'ACTIVE' : 'CONNECTION_INACTIVE'
      watch('confirm', confirmed, outcomeIn, maxAgeMs)
    },
    respond: ({ place }) => {
      database.respondExcept(place)
    },
    advance: ({ place }) => {
      database.advance(place)
    },
    fail: ({ place }) => {
      database.queries.splice(place, 1)[0]?.fail()
    },
    renew: ({ id }) => {
      change(id, () => ({}))
    },
    toggle: ({ id }) => {
      change(id, ({ status }) => ({ status: status === 'ACTIVE' ? 'DISABLED' : 'ACTIVE' }))
    },
    chooseDefault: ({ id }) => {
      const chosen = database.rows.get(id)
      if (chosen === undefined) return
      // Does not raise the version.
      database.commit(
        rowsOf(database.rows, chosen.userId, chosen.provider)
          .map((row) => ({ ...row, isDefault: row.id === id }))
          .filter((row) => row.isDefault !== database.rows.get(row.id)?.isDefault)
      )
    },
    move: ({ id, userId, provider }) => {
      change(id, () => ({ userId, provider, isDefault: false }))
    },
    insert: ({ id, userId, provider }) => {
      insert(id, userId, provider)
    },
    remove: ({ id }) => {
      database.commit([], id)
    },
    notify: ({ place }) => {
      const [notification] = database.notifications.splice(place, 1)
      if (notification !== undefined) leases.onNotification(notification)
    },
    mayHaveMissed: () => {
      leases.onNotification(null)
    },
    tick: ({ ms }) => {
      clock.tick(ms)
      database.now += ms
    },
    disturbClock: ({ ms }) => {
      clock[disturbance](ms)
      if (disturbance === 'suspend') database.now += ms
    },
    replace: () => {
      database.replace()
    },
    lose: () => {
      database.lose()
    }
  }

  insert('1', 'ann', 'p', true)
  insert('2', 'ann', 'p')
  insert('3', 'bob', 'p')
  for (const each of steps) {
    actions[each.do](each)
    await nextTurn()
    if (violations.length > 0) throw new Error(violations[0])
  }
}

t.test(`no request gets an outdated connection in ${String(SCHEDULES)} random schedules`, { timeout: 0 }, async (t) => {
  const schedules = fc.asyncProperty(
    fc.constantFrom(...DISTURBANCES),
    fc.array(step, { minLength: 1, maxLength: 80, size: 'max' }),
    run
  )
  await fc.assert(schedules, { numRuns: SCHEDULES, examples: EXAMPLES })
  t.pass('a failure would have printed its seed')
})
