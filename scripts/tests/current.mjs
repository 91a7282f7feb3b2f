// Imported by test files in place of `tap`: the subtest of the importing file. The compiler gives each file its own
// instance of this module (by a query string), which is evaluated while `process.mjs` imports that file.
import { current } from './process.mjs'

export default current.test
