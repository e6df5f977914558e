"""The tools, one package each: NAME/main.py has main(arguments) -> exit code, which tools/NAME starts (../start.sh). What more than one of them
uses is in common/; what they know of ledger files is in ledger/."""
