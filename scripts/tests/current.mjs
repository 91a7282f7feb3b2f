// What a test file imports as `tap`: the subtest that stands for this file. The compiler makes each file import its own
// instance of this module, which is evaluated when `process.mjs` has come to that file.
import { current } from './process.mjs'

export default current.test
