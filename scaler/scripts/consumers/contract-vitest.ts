import * as framework from 'vitest'
import { describeContracts } from './contract.ts'

describeContracts(framework)
