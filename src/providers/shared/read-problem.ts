import type { HttpAnswer } from '../../domain/egress.ts'

/** An answer that says no is a few hundred bytes. */
const MAX_PROBLEM_BYTES = 64 * 1024

/**
 * What an answer that is no transfer says as JSON, where a transfer was asked for and no limit holds; `undefined` for
 * all that is no JSON. Never fails: what to make of the answer, its status tells too.
 *
 * @param withinMs how long it may take
 */
export async function readProblem(answer: Pick<HttpAnswer, 'body'>, withinMs: number): Promise<unknown> {
  const text = await readProblemText(answer, withinMs)
  try {
    return text === undefined ? undefined : (JSON.parse(text) as unknown)
  } catch {
    return undefined
  }
}

/** The same as text; `undefined` where it is too long, too slow or cut off. */
export async function readProblemText(
  { body }: Pick<HttpAnswer, 'body'>,
  withinMs: number
): Promise<string | undefined> {
  const timer = setTimeout(() => body.destroy(), withinMs)
  try {
    const chunks: Buffer[] = []
    let left = MAX_PROBLEM_BYTES
    for await (const chunk of body as AsyncIterable<Buffer>) {
      left -= chunk.length
      if (left < 0) return undefined
      chunks.push(chunk)
    }
    return Buffer.concat(chunks).toString('utf8')
  } catch {
    return undefined
  } finally {
    clearTimeout(timer)
  }
}
