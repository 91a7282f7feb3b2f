import { bodyLength } from '../picker/body-length.ts'
import { downloadName } from '../picker/files.ts'
import type { OnProgress } from '../picker/picker-api.ts'

/** A file on the user's disk, still empty. */
export interface ChosenFile {
  createWritable(): Promise<WritableStream<Uint8Array<ArrayBuffer>>>
}

type ChooseFile = (options: { suggestedName: string }) => Promise<ChosenFile>

/** Downloads of at least this size are streamed to disk, if the browser can. Smaller ones are buffered in memory. */
const TO_DISK_FROM_BYTES = 64 * 1024 * 1024

/**
 * Asks where to save a large download. Must be called from the click handler. A plain link does not work here: the
 * page authenticates with a bearer token, which a link cannot send.
 * @returns `memory` if the file is small or the browser cannot write files; `null` if the user cancels
 */
export async function chooseFile(name: string, size: number | null): Promise<ChosenFile | 'memory' | null> {
  const { showSaveFilePicker: choose } = globalThis as { showSaveFilePicker?: ChooseFile }
  if (choose === undefined || (size !== null && size < TO_DISK_FROM_BYTES)) return 'memory'
  try {
    return await choose({ suggestedName: downloadName(null, name) })
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') return null
    // The browser may reject the name, or refuse for other reasons.
    return 'memory'
  }
}

/** Writes a body to its destination. An interrupted download leaves no file. */
export async function writeTo(
  file: ChosenFile | 'memory',
  response: Response,
  onProgress: OnProgress,
  signal: AbortSignal
): Promise<Blob | null> {
  const body = (response.body ?? new Blob([]).stream()).pipeThrough(counting(bodyLength(response), onProgress))
  const type = response.headers.get('content-type')
  // Without a type, browsers guess one and may change the file extension.
  if (file === 'memory')
    return await new Response(body, { headers: type === null ? {} : { 'content-type': type } }).blob()
  await body.pipeTo(await file.createWritable(), { signal })
  return null
}

function counting(total: number | null, onProgress: OnProgress): TransformStream<Uint8Array, Uint8Array<ArrayBuffer>> {
  let done = 0
  return new TransformStream({
    transform(chunk: Uint8Array<ArrayBuffer>, controller) {
      done += chunk.byteLength
      onProgress(done, total)
      controller.enqueue(chunk)
    }
  })
}
