"""Battery packs on the ledger: the contract beside this file, its profile, its scenario, its tests."""
