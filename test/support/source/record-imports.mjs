// Preloaded with --import: appends each imported package to the file in IMPORT_LOG at the time of its import.
import { register } from 'node:module'

const hooks = `
  import { appendFileSync } from 'node:fs'
  export async function resolve(specifier, context, next) {
    const resolved = await next(specifier, context)
    const at = resolved.url.lastIndexOf('/node_modules/')
    if (at !== -1 && !/^[./]/.test(specifier)) appendFileSync(process.env.IMPORT_LOG, specifier + '\\n')
    return resolved
  }`
register(`data:text/javascript,${encodeURIComponent(hooks)}`)
