import * as framework from 'node:test'
import { describeContracts } from './contract.ts'

describeContracts(framework)
