// Preloaded with --import: writes each package that is imported, as it is imported, to the file that IMPORT_LOG names.
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
