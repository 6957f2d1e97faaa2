from flask import Flask
def broken(:
