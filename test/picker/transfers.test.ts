import t from 'tap'
import { PickerProblem } from '../../src/picker/problem.ts'
import { otherName, Transfers } from '../../src/picker/transfers.ts'
import { Deferred, settled } from '../support/deferred.ts'
import { PickerWorld } from '../support/picker-world.ts'

t.test('two at a time, the others wait', async (t) => {
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
  await settled()
  t.equal(items[0]?.isFinished, true)
  t.equal(items[2]?.task.isBusy, true)
  transfers.clearFinished()
  t.equal(transfers.items.length, 2)
})

t.test('what is stopped makes room for the next', async (t) => {
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
  await settled()
  t.equal(signals[0]?.aborted, true)
  t.equal(signals.length, 3)
})

t.test('a failure stays on the list and can be tried again', async (t) => {
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
  await settled()
  t.equal(item.task.problem?.code, 'PROVIDER_ERROR')
  await item.task.retry()
  t.equal(item.isFinished, true)
})

t.test('another name for what is there already', async (t) => {
  t.equal(otherName('a.txt'), 'a (2).txt')
  t.equal(otherName('a (2).txt'), 'a (3).txt')
  t.equal(otherName('Folder'), 'Folder (2)')
  t.equal(otherName('.env'), '.env (2)')
  t.equal(otherName('a.tar.gz'), 'a.tar (2).gz')
})
