import { parseArgs } from 'node:util'

/**
 * Reads the arguments of a script before it does anything. `--help` prints `help` and ends the process; an unknown
 * option, or a word too many, is an error.
 *
 * @param {string} help
 * @param {number} [maxWords] how many words the script takes
 * @returns {string[]} the words
 */
export function readArguments(help, maxWords = 0) {
  try {
    const { values, positionals } = parseArgs({
      options: { help: { type: 'boolean', short: 'h' } },
      allowPositionals: true
    })
    if (values.help) {
      process.stdout.write(`${help.trim()}\n`)
      process.exit(0)
    }
    if (positionals.length > maxWords) throw new Error(`Unexpected argument: ${positionals[maxWords]}`)
    return positionals
  } catch (error) {
    process.stderr.write(`${error.message}\n\n${help.trim()}\n`)
    process.exit(2)
  }
}
