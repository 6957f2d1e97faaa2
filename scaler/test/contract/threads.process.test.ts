import * as vitest from 'vitest'
import { describeDriverContract } from '../../src/contract/index.ts'
import { start } from '../contract-example.ts'

describeDriverContract('the threads of the README', { start, maxReplicas: 1 }, vitest)
