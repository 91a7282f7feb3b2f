import type { HttpAnswer } from '../../domain/egress.ts'

/** Error responses have a few hundred bytes. */
const MAX_PROBLEM_BYTES = 64 * 1024

/**
 * Reads the JSON of a short response to a transfer request, which has no size limit of its own. Returns `undefined`
 * if the body is not JSON. Never fails, because the status alone is enough to handle the response.
 *
 * @param withinMs the deadline for reading the body
 */
export async function readProblem(answer: Pick<HttpAnswer, 'body'>, withinMs: number): Promise<unknown> {
  const text = await readProblemText(answer, withinMs)
  try {
    return text === undefined ? undefined : (JSON.parse(text) as unknown)
  } catch {
    return undefined
  }
}

/** Reads the body as text. Returns `undefined` if it is too long, too slow or truncated. */
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
