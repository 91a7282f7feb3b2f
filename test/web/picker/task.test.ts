import t from 'tap'
import { PickerProblem } from '../../../web/picker/problem.ts'
import { SLOW_MS, Task } from '../../../web/picker/state/task.ts'
import { Deferred, nextTurn } from '../../support/time/deferred.ts'
import { PickerWorld } from '../../support/picker/world.ts'
import { nextName, Transfers } from '../../../web/picker/state/transfers.ts'

const throttledProblem = (retryAfterMs: number): PickerProblem =>
  new PickerProblem('PROVIDER_THROTTLED', { status: 503, retryAfterMs })

t.test('a task that takes long is marked as slow and ends normally', async (t) => {
  const { clock, ...world } = new PickerWorld()
  const task = new Task({ clock, autoRetry: true, onChange: () => world.changes++, onProblem: () => undefined })
  const gate = new Deferred<undefined>()
  const running = task.run(async () => {
    await gate.promise
  })
  t.same(task.state, { type: 'busy', isSlow: false })
  await clock.advance(SLOW_MS)
  t.same(task.state, { type: 'busy', isSlow: true })
  gate.resolve(undefined)
  await running
  t.same(task.state, { type: 'idle' })
  t.equal(clock.pendingTimers, 0)
})

t.test('a cancelled task is aborted, and its late result is ignored', async (t) => {
  const world = new PickerWorld()
  const task = new Task(world.options())
  const gate = new Deferred<undefined>()
  let signal: AbortSignal | undefined
  const running = task.run(async (given) => {
    signal = given
    await gate.promise
  })
  task.cancel()
  gate.reject(new Error('late'))
  await running
  t.equal(signal?.aborted, true)
  t.same(task.state, { type: 'cancelled' })
  t.same(world.problems, [])
  t.equal(world.clock.pendingTimers, 0)
})

t.test('a countdown ends with another attempt, and repeated failures make it longer', async (t) => {
  const world = new PickerWorld()
  const task = new Task(world.options())
  let tries = 0
  await task.run(async () => {
    tries++
    if (tries < 3) throw throttledProblem(3000)
  })
  t.match(task.state, { type: 'failed', secondsLeft: 3 })
  await world.clock.advance(1000)
  t.match(task.state, { secondsLeft: 2 })
  t.equal(tries, 1)
  await world.clock.advance(2000)
  t.equal(tries, 2)
  t.match(task.state, { secondsLeft: 6 })
  await world.clock.advance(6000)
  t.equal(tries, 3)
  t.same(task.state, { type: 'idle' })
  t.equal(world.problems.length, 2)
})

t.test('a countdown follows the clock, even if a background page is rarely woken', async (t) => {
  const world = new PickerWorld()
  const task = new Task(world.options())
  let tries = 0
  await task.run(async () => {
    if (++tries === 1) throw throttledProblem(1500)
  })
  await world.clock.advance(1000)
  t.match(task.state, { secondsLeft: 1 })
  await world.clock.advance(500)
  t.equal(tries, 2)
})

t.test('a cancelled countdown makes no further attempt', async (t) => {
  const world = new PickerWorld()
  const task = new Task(world.options())
  let tries = 0
  await task.run(async () => {
    tries++
    throw throttledProblem(1000)
  })
  task.cancel()
  await world.clock.advance(60_000)
  t.equal(tries, 1)
})

t.test('a failure that needs the user is not retried automatically, only on request', async (t) => {
  const world = new PickerWorld()
  const task = new Task(world.options(false))
  let tries = 0
  await task.run(async () => {
    tries++
    throw throttledProblem(2000)
  })
  await world.clock.advance(10_000)
  t.equal(tries, 1)
  t.match(task.state, { type: 'failed', secondsLeft: null })
})

t.test('an exception that is not a problem of the server is a network failure', async (t) => {
  const world = new PickerWorld()
  const task = new Task(world.options())
  await task.run(async () => {
    throw new TypeError('Failed to fetch')
  })
  t.equal(task.problem?.code, 'NETWORK')
  t.match(task.state, { secondsLeft: null })
})

t.test('a new task replaces the previous one', async (t) => {
  const world = new PickerWorld()
  const task = new Task(world.options())
  const gate = new Deferred<undefined>()
  const first = task.run(async () => {
    await gate.promise
  })
  await task.run(async () => {
    throw new PickerProblem('FOLDER_NOT_FOUND')
  })
  gate.resolve(undefined)
  await first
  t.equal(task.problem?.code, 'FOLDER_NOT_FOUND')
})

t.test('two transfers run at a time, and others wait', async (t) => {
  const transfers = new Transfers(new PickerWorld().options())
  const gates = [1, 2, 3].map(() => new Deferred<undefined>())
  const items = gates.map((gate, index) =>
    transfers.add({
      direction: 'upload',
      name: `${index}`,
      total: 10,
      run: async (onProgress) => {
        onProgress(5, 10)
        await gate.promise
      }
    })
  )
  t.same(
    items.map(({ done, task }) => [done, task.isBusy]),
    [
      [5, true],
      [5, true],
      [0, false]
    ]
  )
  gates[0]?.resolve(undefined)
  await nextTurn()
  t.equal(items[0]?.isFinished, true)
  t.equal(items[2]?.task.isBusy, true)
  transfers.clearFinished()
  t.equal(transfers.items.length, 2)
})

t.test('a cancelled transfer starts the next one', async (t) => {
  const transfers = new Transfers(new PickerWorld().options())
  const signals: AbortSignal[] = []
  const run = async (_progress: unknown, signal: AbortSignal): Promise<void> => {
    signals.push(signal)
    await new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        reject(new Error('stopped'))
      })
    })
  }
  const items = ['a', 'b', 'c'].map((name) => transfers.add({ direction: 'upload', name, total: null, run }))
  t.equal(signals.length, 2)
  transfers.remove(items[0]!)
  await nextTurn()
  t.equal(signals[0]?.aborted, true)
  t.equal(signals.length, 3)
})

t.test('a failed transfer stays in the list and can be retried', async (t) => {
  const world = new PickerWorld()
  const transfers = new Transfers(world.options())
  let tries = 0
  const item = transfers.add({
    direction: 'download',
    name: 'a',
    total: null,
    run: async () => {
      if (++tries === 1) throw new PickerProblem('PROVIDER_ERROR')
    }
  })
  await nextTurn()
  t.equal(item.task.problem?.code, 'PROVIDER_ERROR')
  await item.task.retry()
  t.equal(item.isFinished, true)
})

t.test('a conflicting name gets a number', async (t) => {
  t.equal(nextName('a.txt'), 'a (2).txt')
  t.equal(nextName('a (2).txt'), 'a (3).txt')
  t.equal(nextName('Folder'), 'Folder (2)')
  t.equal(nextName('.env'), '.env (2)')
  t.equal(nextName('a.tar.gz'), 'a.tar (2).gz')
})
